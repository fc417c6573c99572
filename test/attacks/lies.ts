import type { statement } from "../cli/support/provenance";

/** What a statement says. */
export type Said = ReturnType<typeof statement>;

/** One thing that a statement says otherwise than it was, though the right one signed it. */
export interface Lie {
  name: string;
  /** The check that sees it. */
  seen: RegExp;
  tell: (said: Said) => void;
  /** Only whoever asks for that commit sees it. @default whoever verifies the image */
  asked?: true;
}

const nobodys = "0".repeat(64);
const fork = "https://git.example.com/fork/program.git";

const dependenciesOf = ({ predicate }: Said, name: string) =>
  predicate.buildDefinition.resolvedDependencies.filter((dependency) => dependency.name === name);

const runSpecOf = ({ predicate }: Said) => predicate.buildDefinition.externalParameters.runSpec;

const setParam = (said: Said, name: string, value: string): void => {
  for (const param of runSpecOf(said).params) if (param.name === name) param.value = value;
};

const setDigest = (said: Said, name: string): void => {
  for (const { digest } of dependenciesOf(said, name)) digest.sha256 = nobodys;
};

const setCommit = (said: Said, commit: string): void => {
  setParam(said, "commit", commit);
  for (const dependency of dependenciesOf(said, "inputs/result")) dependency.digest = { sha1: commit };
};

/** The repository and commit that a statement names. */
export const sourceOf = (said: Said): { source: string; commit: string } => {
  const value = (name: string) => runSpecOf(said).params.find((param) => param.name === name)?.value ?? "";
  return { source: value("repository"), commit: value("commit") };
};

const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString();

/** Each changes one thing and leaves all else as Chains said it. */
export const lies: readonly Lie[] = [
  {
    name: "another builder",
    seen: /SSF-PROVENANCE-004/,
    tell: ({ predicate }) => (predicate.runDetails.builder.id += "/fork"),
  },
  {
    name: "a fork of the source",
    seen: /expected (a )?source .*SSF-PROVENANCE-005/,
    tell: (said) => {
      setParam(said, "repository", fork);
      for (const dependency of dependenciesOf(said, "inputs/result")) dependency.uri = `git+${fork}`;
    },
  },
  {
    name: "another commit than the one that was checked out",
    seen: /was checked out .*SSF-PROVENANCE-005/,
    tell: (said) => setParam(said, "commit", nobodys.slice(0, 40)),
  },
  {
    name: "another commit of the source",
    seen: /expected commit .*SSF-PROVENANCE-005/,
    tell: (said) => setCommit(said, nobodys.slice(0, 40)),
    asked: true,
  },
  {
    name: "another definition of the pipeline",
    seen: /SSF-PROVENANCE-006/,
    tell: (said) => setDigest(said, "pipeline"),
  },
  {
    name: "other definitions of the stages",
    seen: /SSF-PROVENANCE-007/,
    tell: (said) => setDigest(said, "pipelineTask"),
  },
  {
    name: "a step in a foreign image",
    seen: /SSF-PROVENANCE-008/,
    tell: ({ predicate }) =>
      predicate.buildDefinition.resolvedDependencies.push({ uri: "oci://example.com/x", digest: { sha256: nobodys } }),
  },
  {
    name: "a pipeline of the run's own",
    seen: /SSF-PROVENANCE-009/,
    tell: (said) => (runSpecOf(said).pipelineSpec = { tasks: [] }),
  },
  {
    name: "a build without its jail",
    seen: /SSF-PROVENANCE-010/,
    tell: (said) => {
      for (const spec of runSpecOf(said).taskRunSpecs)
        if (spec.pipelineTaskName === "build") Object.assign(spec, { serviceAccountName: "publish", podTemplate: {} });
    },
  },
  {
    name: "another type of build",
    seen: /SSF-PROVENANCE-003/,
    tell: ({ predicate }) => (predicate.buildDefinition.buildType += "/fork"),
  },
  {
    name: "no bill of materials",
    seen: /SSF-PROVENANCE-011/,
    tell: (said) => void said.subject.pop(),
  },
  {
    name: "several images, and not this one",
    seen: /SSF-PROVENANCE-002/,
    tell: (said) => {
      const [own, sbom] = said.subject;
      if (own === undefined || sbom === undefined) throw new Error("a statement speaks about an image and a bill");
      const others = ["1", "2"].map((digit) => ({ ...own, digest: { sha256: digit.repeat(64) } }));
      said.subject = [...others, sbom];
    },
  },
  {
    name: "a run that ends after the log took it",
    seen: /SSF-PROVENANCE-017/,
    tell: ({ predicate }) => (predicate.runDetails.metadata.finishedOn = inAnHour()),
  },
];

/** A statement about other images as well, which is as good. */
export const aboutOthersToo = (said: Said): void => {
  const [own] = said.subject;
  if (own === undefined) throw new Error("a statement speaks about an image");
  said.subject.unshift({ ...own, digest: { sha256: nobodys } });
};
