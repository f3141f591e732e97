"use strict";

exports.METRICS = [
 {
  "name": "pg_pool_connections",
  "type": "gauge",
  "labels": [
   "app",
   "pool",
   "process",
   "state"
  ],
  "bounds": [],
  "help": "Connections of the pool by state: idle, or active (checked out by the application, slots lost to leaks included)."
 },
 {
  "name": "pg_pool_max_connections",
  "type": "gauge",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [],
  "help": "Maximum size of the pool; absent when unlimited."
 },
 {
  "name": "pg_pool_min_connections",
  "type": "gauge",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [],
  "help": "Minimum size that the pool tries to keep."
 },
 {
  "name": "pg_pool_waiting_requests",
  "type": "gauge",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [],
  "help": "Requests waiting for a connection now; requests that gave up are not counted."
 },
 {
  "name": "pg_pool_oldest_idle_seconds",
  "type": "gauge",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [],
  "help": "Age of the longest idle period of a connection in the pool."
 },
 {
  "name": "pg_pool_oldest_active_seconds",
  "type": "gauge",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [],
  "help": "Age of the oldest checkout."
 },
 {
  "name": "pg_pool_oldest_waiting_seconds",
  "type": "gauge",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [],
  "help": "Age of the oldest waiting request."
 },
 {
  "name": "pg_pool_active_connection_seconds_total",
  "type": "counter",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [],
  "help": "Active connections integrated over time; the rate is the mean number of active connections."
 },
 {
  "name": "pg_pool_saturated_seconds_total",
  "type": "counter",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [],
  "help": "Time during which all connections were checked out, or lost inside the library."
 },
 {
  "name": "pg_pool_requests_total",
  "type": "counter",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [],
  "help": "Requests for a connection."
 },
 {
  "name": "pg_pool_queued_requests_total",
  "type": "counter",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [],
  "help": "Requests that had to wait."
 },
 {
  "name": "pg_pool_rejected_requests_total",
  "type": "counter",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [],
  "help": "Requests rejected because the queue was full."
 },
 {
  "name": "pg_pool_timeouts_total",
  "type": "counter",
  "labels": [
   "app",
   "pool",
   "process",
   "kind"
  ],
  "bounds": [],
  "help": "Timeouts in the application: waiting for the pool, connecting to the server, and others that its library reports."
 },
 {
  "name": "pg_pool_acquire_seconds",
  "type": "histogram",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [
   0.0005,
   0.001,
   0.0025,
   0.005,
   0.01,
   0.025,
   0.05,
   0.1,
   0.25,
   0.5,
   1.0,
   2.5,
   5.0,
   10.0,
   30.0
  ],
  "help": "Time from a request to its connection; failed requests are not included."
 },
 {
  "name": "pg_pool_hold_seconds",
  "type": "histogram",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [
   0.001,
   0.0025,
   0.005,
   0.01,
   0.025,
   0.05,
   0.1,
   0.25,
   0.5,
   1.0,
   2.5,
   5.0,
   10.0,
   30.0,
   60.0,
   300.0,
   600.0
  ],
  "help": "Time from checkout to return."
 },
 {
  "name": "pg_pool_demand_connections",
  "type": "histogram",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [
   1.0,
   2.0,
   3.0,
   4.0,
   5.0,
   6.0,
   8.0,
   10.0,
   12.0,
   15.0,
   20.0,
   25.0,
   30.0,
   40.0,
   50.0,
   75.0,
   100.0,
   150.0,
   200.0
  ],
  "help": "Time by demand: whole seconds during which connections checked out and requests waiting together were at most the bound. count is the time measured, sum the demand integrated over it."
 },
 {
  "name": "pg_pool_acquire_wait_seconds_total",
  "type": "counter",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [],
  "help": "Total time spent waiting for connections."
 },
 {
  "name": "pg_pool_acquired_total",
  "type": "counter",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [],
  "help": "Connections checked out."
 },
 {
  "name": "pg_pool_held_seconds_total",
  "type": "counter",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [],
  "help": "Total time for which returned connections were checked out."
 },
 {
  "name": "pg_pool_returned_total",
  "type": "counter",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [],
  "help": "Connections returned."
 },
 {
  "name": "pg_pool_connects_total",
  "type": "counter",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [],
  "help": "Sessions that the pool has opened since it was instrumented."
 },
 {
  "name": "pg_pool_connect_errors_total",
  "type": "counter",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [],
  "help": "Failed attempts to open a session."
 },
 {
  "name": "pg_pool_lost_connections_total",
  "type": "counter",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [],
  "help": "Sessions that the pool found dead."
 },
 {
  "name": "pg_pool_leaked_connections_total",
  "type": "counter",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [],
  "help": "Connections dropped without being returned; each has lost its slot forever."
 },
 {
  "name": "pg_pool_leaked_slots",
  "type": "gauge",
  "labels": [
   "app",
   "pool",
   "process",
   "site"
  ],
  "bounds": [],
  "help": "Slots lost now, by the line of code that checked out the connection."
 },
 {
  "name": "pg_pool_unaccounted_connections",
  "type": "gauge",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [],
  "help": "Connections that the pool counts although they are neither idle, nor checked out, nor being made, for the leak threshold: slots lost inside the pool library."
 },
 {
  "name": "pg_pool_overdue_connections",
  "type": "gauge",
  "labels": [
   "app",
   "pool",
   "process",
   "site"
  ],
  "bounds": [],
  "help": "Connections checked out for longer than the leak threshold, by the line of code that checked them out."
 },
 {
  "name": "pg_pool_reclaimed_connections_total",
  "type": "counter",
  "labels": [
   "app",
   "pool",
   "process",
   "site"
  ],
  "bounds": [],
  "help": "Connections dropped without being returned, which the library got back from the garbage collector, by the line of code that checked them out."
 },
 {
  "name": "pg_pool_leak_threshold_seconds",
  "type": "gauge",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [],
  "help": "Age at which a checkout is overdue."
 },
 {
  "name": "pg_pool_long_lived_connections",
  "type": "gauge",
  "labels": [
   "app",
   "pool",
   "process"
  ],
  "bounds": [],
  "help": "Active connections that the application declares long-lived; they are never overdue."
 },
 {
  "name": "pg_pool_instances_total",
  "type": "counter",
  "labels": [
   "app",
   "pool",
   "process",
   "site"
  ],
  "bounds": [],
  "help": "Pools that were made under this name, by the line of code that made or instrumented them."
 },
 {
  "name": "pg_pool_info",
  "type": "gauge",
  "labels": [
   "app",
   "pool",
   "process",
   "client",
   "client_version",
   "framework",
   "source",
   "pid",
   "host",
   "port",
   "server",
   "database",
   "user",
   "application"
  ],
  "bounds": [],
  "help": "1 for each pool; host and port, or server, name its server. framework is django, fastapi, flask or celery, the first of these that the process has imported. source is the format of the page, instrumented, or closed where only the totals of former pools go on. pid is on the process's own page only."
 }
];
