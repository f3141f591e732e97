import client from "./index.js";

export const { CONTENT_TYPE, handler, instrument, longLived, metrics, serve } = client;
