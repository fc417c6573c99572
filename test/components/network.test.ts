import { FLOW_FILE } from "../../components/lib/flow-file";
import { flowRecord, Network } from "../../components/network";
import { readToolchain } from "../../stacks/toolchain";
import { inputAt, render } from "../support/render";

test("the network refuses names as if they did not exist, and keeps a record", async () => {
  const rendering = await render(
    () => new Network("network", { toolchain: readToolchain(), podCidr: "10.244.0.0/16" }),
  );
  expect(rendering.childrenOf("network")).toEqual(["helm.sh/v4:Chart network-cilium"]);
  expect(inputAt(rendering.get("network-cilium"), "values")).toMatchObject({
    dnsProxy: { dnsRejectResponseCode: "nameError" },
    hubble: flowRecord,
  });
});

describe("the record of what stages reach", () => {
  const { fieldMask, allowList, filePath } = flowRecord.export.static;

  test("is a file; nothing listens", () => {
    expect(flowRecord).toMatchObject({ listenAddress: "", relay: { enabled: false }, ui: { enabled: false } });
    expect(filePath).toBe(FLOW_FILE);
  });

  test("is of stages only, and of what they send", () => {
    expect(allowList.map((filter) => JSON.parse(filter) as unknown)).toEqual([
      {
        source_label: ["k8s:tekton.dev/pipelineTask"],
        traffic_direction: ["EGRESS"],
        event_type: [{ type: 1 }, { type: 5 }, { type: 129 }],
      },
    ]);
  });

  test("holds of a message the name that was asked for and nothing else", () => {
    expect(fieldMask.filter((field) => field.startsWith("l7"))).toEqual(["l7.dns.query"]);
    expect(fieldMask).not.toContain("Summary");
  });
});
