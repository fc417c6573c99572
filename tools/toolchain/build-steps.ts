import { mkdir, rm } from "node:fs/promises";
import { FactoryError } from "../../components/lib/errors";
import { buildGigabytes, cache, keptGigabytes, work } from "./paths";
import { lockCache } from "./store";

/** One step of the build, told when it starts and when it ends. */
export interface ToolchainEvent {
  name: string;
  kind: "package" | "module" | "root file system" | "image";
  state: "cached" | "building" | "built" | "failed";
  /** Number of the step, from 1. */
  index: number;
  total: number;
  /** Wall-clock time of a step that was built or failed. */
  seconds?: number;
}

/** What makes one output. */
export interface BuildStep {
  kind: ToolchainEvent["kind"];
  name: string;
  isCached: boolean;
  /** Names of the steps that it begins after. @default none */
  after?: readonly string[];
  /** @returns the output's directory, if it has one */
  make: () => Promise<string | undefined>;
}

/** The steps of one build. */
export interface BuildSteps {
  /** Directories of the finished outputs, by the step's name. */
  outputs: Record<string, string>;
  /**
   * Makes steps in their order, at most `width` at the same time. When one fails no other begins; those at work come to
   * their end, since what they finish is kept, and only then the first failure is thrown.
   */
  make: (steps: readonly BuildStep[], width?: number) => Promise<void>;
}

/** Counts the steps of a build up to `total`, and tells about each. */
export const buildSteps = (total: number, onEvent: (event: ToolchainEvent) => void): BuildSteps => {
  const outputs: Record<string, string> = {};
  let started = 0;

  const makeOne = async ({ kind, name, isCached, make }: BuildStep): Promise<void> => {
    const index = ++started;
    if (!isCached) onEvent({ name, kind, state: "building", index, total });
    const begin = Date.now();
    const seconds = () => (Date.now() - begin) / 1000;
    try {
      const output = await make();
      if (output !== undefined) outputs[name] = output;
      onEvent(
        isCached
          ? { name, kind, state: "cached", index, total }
          : { name, kind, state: "built", index, total, seconds: seconds() },
      );
    } catch (error) {
      onEvent({ name, kind, state: "failed", index, total, seconds: seconds() });
      throw error;
    }
  };

  const make = async (steps: readonly BuildStep[], width = 1): Promise<void> => {
    const waiting = [...steps];
    const atWork = new Map<string, Promise<void>>();
    const failed: Promise<void>[] = [];
    const isReady = ({ after = [] }: BuildStep) =>
      !after.some((name) => atWork.has(name) || waiting.some((step) => step.name === name));
    const begin = (step: BuildStep): void => {
      waiting.splice(waiting.indexOf(step), 1);
      const made = makeOne(step);
      const ended = made.catch(() => void failed.push(made)).finally(() => atWork.delete(step.name));
      atWork.set(step.name, ended);
    };
    for (;;) {
      while (failed.length === 0 && atWork.size < width) {
        const next = waiting.find(isReady);
        if (next === undefined) break;
        begin(next);
      }
      if (atWork.size === 0) break;
      await Promise.race(atWork.values());
    }
    await failed[0];
    if (waiting.length > 0) throw new Error(`steps wait for each other: ${waiting.map(({ name }) => name).join(", ")}`);
  };
  return { outputs, make };
};

/**
 * Builds in the cache, alone and with nothing of an interrupted build in the way.
 *
 * @throws FactoryError `SSF-HOST-011` when the disk is full
 */
export const buildInCache = async <T>(build: () => Promise<T>): Promise<T> => {
  try {
    await mkdir(cache, { recursive: true });
    const release = await lockCache();
    try {
      await rm(work, { recursive: true, force: true });
      return await build();
    } finally {
      await release();
    }
  } catch (error) {
    throw isDiskFull(error) ? diskFull(String(error)) : error;
  }
};

const isDiskFull = (error: unknown): boolean => /ENOSPC|no space left on device/i.test(String(error));

const diskFull = (given: string): FactoryError =>
  new FactoryError({
    code: "SSF-HOST-011",
    path: cache,
    given,
    rule: `A build from an empty cache needs up to ${buildGigabytes} GB on this file system for a while, and keeps ${keptGigabytes} GB.`,
    fix: "Free some space, or set XDG_CACHE_HOME to a larger disk; then run the command again: finished steps are kept.",
  });
