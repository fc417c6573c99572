import { type Requester } from "../support/api-server";

/** One request; without a requester the administrator's, a member of `system:masters`. */
export interface Request {
  method: "POST" | "PUT" | "PATCH" | "DELETE";
  path: string;
  body?: object;
  as?: Requester;
}

/** Something that a rule refuses, and the nearest thing that it admits. */
export interface Case {
  /** What is tried. */
  attempt: string;
  /** Code of the rule that must refuse it, after `SSF-`, where `ADMISSION-` is left out. */
  code: string;
  bad: Request;
  good: Request;
}

/** Asks for everything but the storing. */
const dry = (path: string): string => `${path}?dryRun=All`;

const root = (apiVersion: string): string => (apiVersion === "v1" ? "/api/v1" : `/apis/${apiVersion}`);

/** Address of a collection of a namespace, or of one of its objects. */
export const inNamespace = (apiVersion: string, namespace: string, resource: string): string =>
  `${root(apiVersion)}/namespaces/${namespace}/${resource}`;

export const create = (path: string, body: object, as?: Requester): Request => ({
  method: "POST",
  path: dry(path),
  body,
  ...(as === undefined ? {} : { as }),
});

export const patch = (path: string, body: object, as?: Requester): Request => ({
  method: "PATCH",
  path: dry(path),
  body,
  ...(as === undefined ? {} : { as }),
});

export const remove = (path: string, as?: Requester): Request => ({
  method: "DELETE",
  path: dry(path),
  ...(as === undefined ? {} : { as }),
});
