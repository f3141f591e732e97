// One function a kind of panel: it draws into `box`.
"use strict";

const AXIS = { axisLine: { show: false }, axisTick: { show: false }, splitLine: { lineStyle: { color: "#25282e" } } };

function none(box, panel) {
  box.className = "none";
  box.textContent = panel.fieldConfig?.defaults?.noValue ?? "No data";
}

async function seriesOf(panel, prometheus) {
  const found = [];
  for (const target of panel.targets)
    for (const { metric, values } of await prometheus.range(target))
      found.push({ name: legend(target, metric).trim(), values: values.map(([t, v]) => [t * 1000, Number(v)]) });
  return found.filter(({ values }) => values.some(([, v]) => Number.isFinite(v)));
}

async function stat(box, panel, prometheus) {
  const { unit, thresholds, mappings } = panel.fieldConfig.defaults;
  const series = [];
  const set = await settings(panel, prometheus);
  for (const target of shown(panel, set))
    for (const { metric, value } of await prometheus.instant(target))
      series.push({ name: legend(target, metric), value: Number(value[1]) });
  if (!series.length) return none(box, panel);
  box.className = "stats";
  if (series.length > 3) box.style.flexDirection = "column";
  for (const { name, value } of series) {
    const mapped = mapping(value, mappings);
    const tile = document.createElement("div");
    if (panel.options.colorMode === "background")
      tile.style.background = mapped ? COLOURS[mapped.color] : threshold(value, thresholds, settingsOf(name, set));
    tile.innerHTML = series.length > 3
      ? `<span><small></small> <b></b></span>` : `<b></b><small></small>`;
    tile.querySelector("b").textContent = mapped?.text ?? format(value, unit, prometheus.end);
    tile.querySelector("b").style.fontSize = series.length > 3 ? "12px" : mapped ? "15px" : "26px";
    tile.querySelector("small").textContent = series.length > 1 ? name : "";
    box.append(tile);
  }
}

async function timeseries(box, panel, prometheus, alerts) {
  const { unit, thresholds, custom } = panel.fieldConfig.defaults;
  const series = await seriesOf(panel, prometheus);
  if (!series.length) return none(box, panel);
  const drawn = series.map(({ name, values }, number) => {
    const own = overridden(panel, name);
    const colour = own.color ? COLOURS[own.color.fixedColor] : PALETTE[number % PALETTE.length];
    const dashed = own["custom.lineStyle"]?.fill === "dash";
    return {
      name, type: "line", data: values, showSymbol: false, connectNulls: false, color: colour,
      stack: own["custom.stacking"] ? "A" : undefined,
      areaStyle: dashed ? undefined : { opacity: (own["custom.fillOpacity"] ?? custom.fillOpacity) / 100 },
      lineStyle: { width: dashed ? 2 : 1.2, type: dashed ? "dashed" : "solid" },
      markLine: number ? undefined : marks(thresholds, custom),
      markArea: number ? undefined : regions(alerts),
    };
  });
  const soft = custom.axisSoftMax;
  echarts.init(box, null, { renderer: "canvas" }).setOption({
    animation: false, textStyle: { color: "#ccccdc" },
    grid: { left: 58, right: 14, top: 8, bottom: 42 },
    legend: { type: "scroll", bottom: 0, left: 4, itemWidth: 14, itemHeight: 3, textStyle: { color: "#ccccdc", fontSize: 10 } },
    xAxis: { type: "time", min: prometheus.start * 1000, max: prometheus.end * 1000, splitNumber: 5, ...AXIS,
      axisLabel: { color: "#8e8e9c", fontSize: 10, formatter: "{HH}:{mm}:{ss}", hideOverlap: true } },
    yAxis: { type: "value", min: 0, max: soft === undefined ? undefined : ({ max }) => Math.max(max, soft), splitNumber: 4, ...AXIS,
      axisLabel: { color: "#8e8e9c", fontSize: 10, formatter: (v) => format(v, unit) } },
    series: drawn,
  });
}

function regions(alerts) {
  const data = alerts.map(({ start, end }) => [{ xAxis: start * 1000 }, { xAxis: end * 1000 }]);
  return { silent: true, itemStyle: { color: "#e02f44", opacity: 0.12, borderColor: "#e02f44", borderWidth: 1 }, data };
}

// Dashed thresholds.
function marks(thresholds, custom) {
  const data = [];
  if (custom.thresholdsStyle?.mode === "dashed")
    for (const { value, color } of thresholds.steps)
      if (value != null) data.push({ yAxis: value, lineStyle: { color: COLOURS[color], opacity: 0.8 } });
  return { silent: true, symbol: "none", label: { show: false }, lineStyle: { type: "dashed" }, data };
}

async function heatmap(box, panel, prometheus) {
  const found = (await prometheus.range(panel.targets[0]))
    .map(({ metric, values }) => ({ le: Number(metric.le === "+Inf" ? Infinity : metric.le), values: new Map(values) }))
    .sort((a, b) => a.le - b.le);
  if (!found.length) return none(box, panel);
  const times = [...found.at(-1).values.keys()].sort((a, b) => a - b);
  const cells = [];
  for (const [y, { values }] of found.entries())
    for (const [x, time] of times.entries()) {
      // Buckets are cumulative.
      const count = Number(values.get(time) ?? 0) - Number(found[y - 1]?.values.get(time) ?? 0);
      if (count > 0.01) cells.push([x, y, count]);
    }
  const sorted = cells.map(([, , count]) => count).sort((a, b) => a - b);
  echarts.init(box).setOption({
    animation: false, grid: { left: 58, right: 14, top: 6, bottom: 24 },
    xAxis: { type: "category", data: times.map((t) => new Date(t * 1000).toTimeString().slice(0, 8)), ...AXIS,
      axisLabel: { color: "#8e8e9c", fontSize: 10 } },
    yAxis: { type: "category", data: found.map(({ le }) => (le === Infinity ? "+Inf" : duration(le))), ...AXIS,
      axisLabel: { color: "#8e8e9c", fontSize: 9 } },
    visualMap: { show: false, min: 0, max: sorted[Math.floor(sorted.length * 0.98)] ?? 1,
      inRange: { color: ["#33231a", "#8c4a17", "#d9730d", "#ffb357", "#fff0dc"] } },
    series: [{ type: "heatmap", data: cells, itemStyle: { borderWidth: 0 } }],
  });
}

async function table(box, panel, prometheus) {
  const single = panel.targets.length === 1;
  const merged = new Map();
  const set = await settings(panel, prometheus);
  for (const target of shown(panel, set))
    for (const { metric, value } of await prometheus.instant(target)) {
      const key = JSON.stringify(Object.entries(metric).sort());
      const row = merged.get(key) ?? { ...metric };
      row[single ? "Value" : `Value #${target.refId}`] = Number(value[1]);
      merged.set(key, row);
    }
  if (!merged.size) return none(box, panel);
  const organize = panel.transformations.find(({ id }) => id === "organize").options;
  const fields = Object.keys(organize.indexByName).sort((a, b) => organize.indexByName[a] - organize.indexByName[b]);
  const titles = fields.map((field) => organize.renameByName[field]);
  const hidden = titles.map((title) => overridden(panel, title)["custom.hidden"]);
  const rows = [...merged.values()].map((row) => fields.map((field) => row[field]));
  // The last one first: sorting keeps the order of equals.
  for (const { displayName, desc } of [...(panel.options.sortBy ?? [])].reverse()) {
    const by = titles.indexOf(displayName);
    rows.sort((a, b) => (desc ? -1 : 1) * compared(a[by], b[by]));
  }
  const drawn = document.createElement("table");
  const head = drawn.insertRow();
  for (const [number, title] of titles.entries()) {
    if (hidden[number]) continue;
    const cell = document.createElement("th");
    cell.textContent = title;
    if (rows.some((row) => typeof row[number] === "number")) cell.className = "number";
    head.append(cell);
  }
  for (const row of rows) {
    const line = drawn.insertRow();
    for (const [number, value] of row.entries())
      if (!hidden[number]) cell(line.insertCell(), value, overridden(panel, titles[number]), settingsOf(fields[number], set), prometheus.end);
  }
  box.className = "rows";
  box.append(drawn);
}

function compared(one, other) {
  return typeof (one ?? other) === "string" ? (one ?? "").localeCompare(other ?? "") : (one ?? -1) - (other ?? -1);
}

function cell(into, value, own, limits, now) {
  if (own["custom.width"]) into.style.maxWidth = `${own["custom.width"]}px`;
  const mapped = mapping(value, own.mappings);
  if (typeof value !== "number") {
    into.textContent = mapped?.text ?? value ?? "";
    if (own.links) into.className = "link";
    if (mapped) into.style.background = COLOURS[mapped.color];
    return;
  }
  into.textContent = mapped?.text ?? format(value, own.unit, now);
  into.className = "number";
  if (own["custom.cellOptions"]) {
    const { thresholds } = own;
    into.style.background = mapped ? COLOURS[mapped.color] : thresholds.steps.length > 1 ? threshold(value, thresholds, limits) : "";
  }
}

function text(box, panel) {
  box.className = "words";
  const safe = panel.options.content.replace(/&/g, "&amp;").replace(/</g, "&lt;");
  box.innerHTML = safe.trim().split(/\n\n+/).map((part) => `<p>${part
    .replace(/\*\*(.+?)\*\*/g, "<b>$1</b>").replace(/\*(.+?)\*/g, "<i>$1</i>").replace(/`(.+?)`/g, "<code>$1</code>")
    .replace(/\[(.+?)\]\(.+?\)/g, "<u>$1</u>")}</p>`).join("");
}

const KINDS = { stat, timeseries, heatmap, table, text };
