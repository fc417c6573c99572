import type { Param } from "../model";
import { patterns } from "../patterns";

/** The directory of the source that the run names; the words say what it is. */
export const directory = (words = "that is built"): Param => ({
  name: "directory",
  description: `Directory ${words}.`,
  pattern: patterns.directory,
  from: { run: "directory" },
});

/** What the run calls its artefact. */
export const imageName: Param = {
  name: "name",
  description: "Last part of the image's name.",
  pattern: patterns.imageName,
  from: { run: "name" },
};

/** Where the source came from. */
export const url: Param = {
  name: "url",
  description: "Address of the source.",
  pattern: patterns.repository,
  from: { stage: "ingest-source", result: "url" },
};

/** Which commit was checked out. */
export const commit: Param = {
  name: "commit",
  description: "Commit of the source.",
  pattern: patterns.commit,
  from: { stage: "ingest-source", result: "commit" },
};

/** When that was committed, the only time that a stage knows; the words say for what it stands. */
export const timestamp = (words: string): Param => ({
  name: "timestamp",
  description: `Time that ${words}, in seconds since 1970.`,
  pattern: patterns.timestamp,
  from: { stage: "ingest-source", result: "timestamp" },
});
