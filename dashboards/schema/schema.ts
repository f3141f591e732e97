// What our dashboards may hold: Grafana's types, with the options of the panels that we use.
import type {
  AnnotationQuery, Dashboard, Panel, RowPanel,
} from './node_modules/@grafana/schema/dist/types/raw/dashboard/x/dashboard_types.gen';
import type { Options as Stat } from './node_modules/@grafana/schema/dist/types/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { Options as TimeSeries } from './node_modules/@grafana/schema/dist/types/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
import type { Options as Table } from './node_modules/@grafana/schema/dist/types/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type { Options as Heatmap } from './node_modules/@grafana/schema/dist/types/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type { Options as Text } from './node_modules/@grafana/schema/dist/types/raw/composable/text/panelcfg/x/TextPanelCfg_types.gen';

// The types have any panel's options as unknown.
type Of<Kind extends string, Options> =
  Omit<Panel, 'type' | 'options'> & { type: Kind; options: Partial<Options> };
type Known = Of<'stat', Stat> | Of<'timeseries', TimeSeries> | Of<'table', Table> | Of<'heatmap', Heatmap> | Of<'text', Text>;

// They know annotations of Grafana's own store only; these are what the Prometheus plugin reads.
type Firing = Omit<AnnotationQuery, 'target'> & {
  expr: string;
  titleFormat: string;
  textFormat: string;
  tagKeys: string;
  target: { refId: string; expr: string; instant: boolean; range: boolean };
};

export type Checked = Omit<Dashboard, 'panels' | 'annotations'> & {
  panels: Array<Known | RowPanel>;
  annotations: { list: Firing[] };
};
