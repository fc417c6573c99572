import { example, type FactoryAttack } from "./support";

export const cachePoisoning: FactoryAttack = {
  name: "cache-poisoning",
  covers: "What one build leaves for the next one: a cache, a workspace, an image.",
  tries: "to find a trace of one build in the next one of the same commit",
  refusal: { by: ["stage"], message: /same output, other volumes/ },
  control: "Both builds succeed and are signed.",
  onlyByName: true,
  builds: [example],
  prepare: async (session) => {
    const first = await session.build(example);
    // Another name makes it another build; the program inside must not differ.
    const second = await session.build(example, ["--name", "pip-service-again"]);
    const same = ["output-digest", "source-digest", "dependencies-digest"].filter(
      (name) => first.results[name] === undefined || first.results[name] !== second.results[name],
    );
    return {
      attempts: [
        {
          name: "two builds of one commit",
          run: () =>
            Promise.resolve(
              same.length === 0
                ? { is: "refused", by: "stage", message: "same output, other volumes" }
                : { is: "accepted", detail: `differs: ${same.join(", ")}` },
            ),
        },
      ],
      controls: [first, second].map(({ run, annotations }) => ({
        name: `run ${run} is signed`,
        run: () =>
          Promise.resolve(
            annotations["chains.tekton.dev/signed"] === "true"
              ? { is: "accepted", detail: run }
              : { is: "unproven", detail: "no mark of Chains" },
          ),
      })),
    };
  },
};
