/** File on every node in which Cilium's agent records flows, one JSON object a line. */
export const FLOW_FILE = "/var/run/cilium/hubble/events.log";
