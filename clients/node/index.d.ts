import type { IncomingMessage, Server, ServerResponse } from "node:http";

export interface Options {
  /** The application; else $PG_POOL_EXPORTER_APP, else the script's name. */
  app?: string;
  /** The pool's name; else `main`. */
  name?: string;
  /** The server's name in the exporter's configuration; else $PG_POOL_EXPORTER_SERVER. */
  server?: string;
  /** Age at which a checkout is overdue: seconds, or a text such as `90s`; else
   * $PG_POOL_EXPORTER_LEAK_AFTER, else 60 s. */
  leakAfter?: number | string;
  /** Looks for the line of code of one checkout in so many; 1, the default, looks for each. */
  siteSampling?: number;
}

/** Measures a pg.Pool, a Sequelize, a Knex, or TypeORM's initialised DataSource; returns it. A second
 * call changes nothing. Never throws: what goes wrong is a warning of the process. */
export function instrument<Pool>(pool: Pool, options?: Options): Pool;
/** Declares a connection that is checked out long-lived: it is never overdue. Returns it. */
export function longLived<Connection>(connection: Connection): Connection;
/** The metrics of this process as Prometheus text. */
export function metrics(): string;
/** Answers a request for the metrics, for a server of your own. */
export function handler(request: IncomingMessage, response: ServerResponse): void;
/** Serves the metrics of this process on a port, by default of the loopback address only. It does not
 * keep the process alive. */
export function serve(port: number, host?: string): Server;
/** The media type of the metrics. */
export const CONTENT_TYPE: string;
