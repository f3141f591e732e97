"use strict";

const { createHash, randomBytes } = require("node:crypto");
const fs = require("node:fs");
const http = require("node:http");
const net = require("node:net");
const os = require("node:os");
const path = require("node:path");
const { CONTENT_TYPE } = require("./page");
const { warn } = require("./warn");

const ENVIRONMENT = "PG_POOL_EXPORTER_SOCKET_DIR";
const SYSTEM_DIRECTORY = "/run/pg-pool-exporter";
const MAX_SLOTS = 1000;
const LOOK_MS = 2000;
const EXCHANGE_MS = 5000;
const { R_OK, W_OK, X_OK, O_NOFOLLOW } = fs.constants;
const O_PATH = 0x200000; // of Linux: opens nothing, only names a file

function can(file, mode) {
  try {
    fs.accessSync(file, mode);
    return true;
  } catch {
    return false;
  }
}

/** Where the exporter looks: the rules are those of its documentation. */
function directory() {
  const { [ENVIRONMENT]: named, XDG_RUNTIME_DIR: own } = process.env;
  if (named) return named;
  if (can(SYSTEM_DIRECTORY, R_OK | W_OK | X_OK)) return SYSTEM_DIRECTORY;
  if (own && can(own, W_OK | X_OK)) return path.join(own, "pg-pool-exporter");
  return path.join(os.tmpdir(), `pg-pool-exporter-${process.getuid()}`);
}

/** Makes it for this user alone, and throws for one that another user controls. */
function makeDirectory(name) {
  fs.mkdirSync(name, { mode: 0o700, recursive: true });
  const found = fs.lstatSync(name);
  const user = process.geteuid();
  const fault = (text) => {
    throw new Error(`${name} ${text}`);
  };
  if (!found.isDirectory()) fault("is no directory: name the directory itself, not a link to it");
  if (found.uid !== 0 && found.uid !== user) {
    fault(`belongs to user ${found.uid}: it must belong to root or to this user (${user})`);
  }
  if (found.mode & 0o002 && !(found.mode & 0o1000)) {
    fault(`can be written by everybody: chmod o-w or chmod +t, or set ${ENVIRONMENT} to a folder in it`);
  }
  if (!can(name, W_OK | X_OK)) {
    fault(`can't be written by user ${user}: is it in the directory's group?`);
  }
}

/** The application's name as it may stand in a file name, different for each name. */
function filePrefix(app) {
  const plain = [...app.replace(/[^A-Za-z0-9_.-]/gu, "_")].slice(0, 32).join("").replace(/^[.-]+/, "");
  if (plain === app) return plain;
  return `${plain}.${createHash("sha256").update(app).digest("hex").slice(0, 6)}`;
}

/** Nothing where it is missing or hidden: an application may give up its rights after the start. */
function lstat(file) {
  try {
    return fs.lstatSync(file);
  } catch {
    return undefined;
  }
}

/** `free`, `dead` (a socket of this user's that nobody serves) or `taken`. */
function look(file) {
  const found = lstat(file);
  if (!found) return Promise.resolve("free");
  if (!found.isSocket() || found.uid !== process.geteuid()) return Promise.resolve("taken");
  return new Promise((resolve) => {
    const client = net.connect(file, () => resolve("taken"));
    client.on("connect", () => client.destroy());
    client.on("error", ({ code }) => resolve(code === "ECONNREFUSED" ? "dead" : "taken"));
  });
}

/** Lets the group connect. Changes the mode of nothing but a socket of ours: somebody in the group may
 * have put a link in its place. */
function openToGroup(file) {
  if (process.platform !== "linux") return;
  const descriptor = fs.openSync(file, O_PATH | O_NOFOLLOW);
  try {
    const found = fs.fstatSync(descriptor);
    if (!found.isSocket() || found.uid !== process.geteuid()) {
      throw new Error(`${file} is not the socket that was bound there`);
    }
    fs.chmodSync(`/proc/self/fd/${descriptor}`, 0o660);
  } finally {
    fs.closeSync(descriptor);
  }
}

/** Answers a request for the page. */
function answer(page, request, response) {
  const say = (status, text, headers = {}) => {
    const type = "text/plain; charset=utf-8";
    const length = Buffer.byteLength(text);
    const all = { "Content-Type": type, "Content-Length": length, "Cache-Control": "no-store" };
    response.writeHead(status, { ...all, ...headers });
    response.end(request.method === "HEAD" ? undefined : text);
  };
  if (request.method !== "GET" && request.method !== "HEAD") {
    return say(405, "only GET and HEAD\n", { Allow: "GET, HEAD" });
  }
  if (request.url.split("?")[0] !== "/metrics") return say(404, "The metrics are at /metrics.\n");
  try {
    return say(200, page(), { "Content-Type": CONTENT_TYPE });
  } catch (error) {
    warn(`the metrics can't be shown: ${error.message}`);
    return say(500, "The metrics can't be shown.\n");
  }
}

/** Bounds what a reader can cost, and what it keeps alive. */
function bounded(server) {
  server.maxConnections = 8;
  server.headersTimeout = server.requestTimeout = server.keepAliveTimeout = EXCHANGE_MS;
  // One deadline for the whole exchange: a byte now and then prolongs nothing.
  server.on("connection", (reader) => {
    const timer = setTimeout(() => reader.destroy(), EXCHANGE_MS).unref();
    reader.on("close", () => clearTimeout(timer));
    reader.unref();
  });
  return server;
}

/** Serves the page on the socket of the lowest free number of the application. A socket that lives is
 * what holds a number: Node has no locks of files. A lost one is bound again. */
class SocketServer {
  constructor(registry, page) {
    this.registry = registry;
    this.page = page;
  }

  start() {
    this.#turn();
    setInterval(() => this.#turn(), LOOK_MS).unref();
    process.on("exit", () => {
      try {
        if (this.#inPlace()) fs.unlinkSync(this.path);
      } catch {
        // The exporter, or the next process of the application, removes it.
      }
    });
  }

  async #turn() {
    if (this.busy || this.#inPlace()) return;
    this.busy = true;
    try {
      this.server?.close();
      this.path = undefined; // it may come back, with nobody behind it
      const where = directory();
      makeDirectory(where);
      await this.#take(where);
    } catch (error) {
      warn(`pool metrics of this process can't be served: ${error.message}`);
    }
    this.busy = false;
  }

  #inPlace() {
    const found = this.path && lstat(this.path);
    return Boolean(found) && found.ino === this.bound.ino && found.dev === this.bound.dev;
  }

  async #take(where) {
    const temporary = path.join(where, `.${randomBytes(8).toString("hex")}`);
    await this.#listen(temporary);
    try {
      openToGroup(temporary);
      this.bound = fs.lstatSync(temporary);
      for (let number = 0; number < MAX_SLOTS; number++) {
        const file = path.join(where, `${filePrefix(this.registry.app)}-${number}.sock`);
        const found = await look(file);
        if (found === "taken") continue;
        if (found === "dead") fs.unlinkSync(file);
        try {
          fs.linkSync(temporary, file); // never replaces what another process has put there
        } catch (error) {
          if (error.code === "EEXIST") continue;
          throw error;
        }
        this.path = file;
        this.registry.process = `${os.hostname()}:${number}`;
        return;
      }
      throw new Error(`all ${MAX_SLOTS} numbers of the application are taken in ${where}`);
    } finally {
      fs.unlinkSync(temporary);
    }
  }

  #listen(file) {
    const server = bounded(
      http.createServer({ maxHeaderSize: 1 << 14 }, (request, response) =>
        answer(this.page, request, response),
      ),
    );
    this.server = server.unref();
    return new Promise((resolve, reject) => {
      server.on("error", reject); // later ones, of a reader, must not end the process
      server.listen(file, resolve);
    });
  }
}

module.exports = { SocketServer, answer, bounded };
