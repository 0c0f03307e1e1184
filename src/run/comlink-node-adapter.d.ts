/** comlink ships types for its Node adapter under the name node-adapter.d.ts, which an .mjs import does not find. */
declare module "comlink/dist/esm/node-adapter.mjs" {
  import type { Endpoint } from "comlink";
  import type { NodeEndpoint } from "comlink/dist/esm/node-adapter";
  export default function nodeEndpoint(endpoint: NodeEndpoint): Endpoint;
}
