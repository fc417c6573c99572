import type { RuntimePolicy } from "../../../policies/runtime";

/** What a field holds. */
type FieldType = "string" | "number" | "boolean";

/**
 * The fields that the rules may use, with their types, from the field classes of libs 0.22.2 and of the container plugin
 * 0.4.1, which come with Falco 0.42.1. `[]` after a name: the field takes an argument.
 */
export const FIELDS: Readonly<Record<string, FieldType>> = {
  "container.id": "string",
  "container.name": "string",
  "evt.args": "string",
  "evt.failed": "boolean",
  "evt.is_open_write": "boolean",
  "evt.res": "string",
  "evt.type": "string",
  "fd.name": "string",
  "fd.typechar": "string",
  "k8s.ns.name": "string",
  "k8s.pod.label[]": "string",
  "k8s.pod.name": "string",
  "proc.aexepath": "string",
  "proc.args": "string",
  "proc.cmdline": "string",
  "proc.exepath": "string",
  "proc.is_exe_from_memfd": "boolean",
  "proc.is_exe_upper_layer": "boolean",
  "proc.name": "string",
  "proc.pexepath": "string",
  "proc.pid": "number",
  "proc.pvpid": "number",
  "proc.tty": "number",
  "proc.vpid": "number",
  "user.uid": "number",
};

/** Names of events in the event table of libs 0.22.2. */
export const EVENTS = [
  ...["connect", "creat", "execve", "execveat", "io_uring_setup", "open", "open_by_handle_at", "openat", "openat2"],
  ...["process_vm_readv", "process_vm_writev", "ptrace"],
];

/** An event: values by field, with the argument in brackets. A field that is absent has no value. */
export type Event = Readonly<Record<string, string | number | boolean | readonly string[]>>;

type Node =
  | { kind: "and" | "or"; parts: Node[] }
  | { kind: "not"; part: Node }
  | { kind: "macro"; name: string }
  | { kind: "check"; field: string; transformer: string; operator: string; values: string[]; list: string };

const OPERATORS = ["exists", "<=", "<", ">=", ">", "==", "=", "!="];
const WORD_OPERATORS = ["glob", "iglob", "contains", "icontains", "startswith", "endswith", "regex"];
const LIST_OPERATORS = ["in", "pmatch"];
const TRANSFORMERS = ["tolower", "toupper", "basename"];

const FIELD = /^[a-zA-Z]+\w*(\.[a-zA-Z]+\w*)+/;
const IDENTIFIER = /^[a-zA-Z]+\w*/;
const ARGUMENT = /^[^\s[\]"']+/;
const BARE = /^[^()"'\s=,]+/;
const QUOTED = /^"(\\"|[^"])*"/;

/** Reads what our rules need of the grammar that libs describe in `filter/parser.h`. */
class Parser {
  private position = 0;

  constructor(private readonly text: string) {}

  parse(): Node {
    const node = this.or();
    this.space();
    if (this.position < this.text.length) this.fail("the end, and, or");
    return node;
  }

  private fail(expected: string): never {
    throw new Error(`expected ${expected} at "${this.text.slice(this.position, this.position + 30)}"`);
  }

  private space(): void {
    this.position += /^\s*/.exec(this.text.slice(this.position))?.[0].length ?? 0;
  }

  private take(pattern: RegExp): string | undefined {
    const [found] = pattern.exec(this.text.slice(this.position)) ?? [];
    if (found !== undefined) this.position += found.length;
    return found;
  }

  private symbol(symbol: string): boolean {
    this.space();
    if (!this.text.startsWith(symbol, this.position)) return false;
    this.position += symbol.length;
    return true;
  }

  private word(word: string): boolean {
    this.space();
    return this.take(new RegExp(`^${word}(?=[\\s(]|$)`)) !== undefined;
  }

  private or(): Node {
    const parts = [this.and()];
    while (this.word("or")) parts.push(this.and());
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : { kind: "or", parts };
  }

  private and(): Node {
    const parts = [this.not()];
    while (this.word("and")) parts.push(this.not());
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : { kind: "and", parts };
  }

  private not(): Node {
    if (this.word("not")) return { kind: "not", part: this.not() };
    if (this.symbol("(")) {
      const node = this.or();
      if (!this.symbol(")")) this.fail(")");
      return node;
    }
    return this.check();
  }

  private field(): string | undefined {
    const name = this.take(FIELD);
    if (name === undefined) return undefined;
    if (!this.text.startsWith("[", this.position)) return name;
    this.position += 1;
    const argument = this.take(ARGUMENT) ?? this.fail("an argument");
    if (!this.text.startsWith("]", this.position)) this.fail("]");
    this.position += 1;
    return `${name}[${argument}]`;
  }

  private check(): Node {
    this.space();
    const transformer = this.take(new RegExp(`^(${TRANSFORMERS.join("|")})(?=\\()`)) ?? "";
    if (transformer !== "") this.position += 1;
    const field = this.field();
    if (field === undefined) {
      const name = this.take(IDENTIFIER);
      return name === undefined || transformer !== "" ? this.fail("a field or a macro") : { kind: "macro", name };
    }
    if (transformer !== "" && !this.symbol(")")) this.fail(")");
    this.space();
    const listOperator = LIST_OPERATORS.find((operator) => this.word(operator));
    if (listOperator !== undefined)
      return { kind: "check", field, transformer, operator: listOperator, ...this.list() };
    const operator =
      WORD_OPERATORS.find((name) => this.word(name)) ??
      OPERATORS.find((name) => this.symbol(name)) ??
      this.fail("an operator");
    const values = operator === "exists" ? [] : [this.value()];
    return { kind: "check", field, transformer, operator, values, list: "" };
  }

  private value(): string {
    this.space();
    const quoted = this.take(QUOTED);
    if (quoted !== undefined) return quoted.slice(1, -1).replaceAll('\\"', '"');
    return this.take(BARE) ?? this.fail("a value");
  }

  /** Values in parentheses; a single one may be the name of a list. */
  private list(): { values: string[]; list: string } {
    if (!this.symbol("(")) this.fail("(");
    const values = [this.value()];
    while (this.symbol(",")) values.push(this.value());
    if (!this.symbol(")")) this.fail(")");
    return { values, list: values.length === 1 ? (values[0] ?? "") : "" };
  }
}

/** The rules file's conditions, read and checked. */
export class Filters {
  private readonly lists: ReadonlyMap<string, readonly string[]>;
  private readonly macros: ReadonlyMap<string, string>;

  constructor({ lists, macros }: Pick<RuntimePolicy, "lists" | "macros">) {
    this.lists = new Map(lists.map(({ name, items }) => [name, items]));
    this.macros = new Map(macros.map(({ name, condition }) => [name, condition]));
  }

  /** Throws where a condition cannot be read, or uses what there is not. */
  check(condition: string): void {
    this.checkNode(new Parser(condition).parse(), []);
  }

  matches(condition: string, event: Event): boolean {
    return this.evaluate(new Parser(condition).parse(), event);
  }

  private macro(name: string): string {
    const condition = this.macros.get(name);
    if (condition === undefined) throw new Error(`unknown macro ${name}`);
    return condition;
  }

  private checkNode(node: Node, within: readonly string[]): void {
    switch (node.kind) {
      case "and":
      case "or":
        for (const part of node.parts) this.checkNode(part, within);
        return;
      case "not":
        this.checkNode(node.part, within);
        return;
      case "macro":
        if (within.includes(node.name)) throw new Error(`macro ${node.name} uses itself`);
        this.checkNode(new Parser(this.macro(node.name)).parse(), [...within, node.name]);
        return;
      case "check":
        this.checkComparison(node);
    }
  }

  private checkComparison({ field, operator, values, list }: Node & { kind: "check" }): void {
    const type = FIELDS[field.replace(/\[.*\]$/, "[]")];
    if (type === undefined) throw new Error(`unknown field ${field}`);
    const isNumeric = ["<", "<=", ">", ">="].includes(operator);
    if (type !== "number" && isNumeric) throw new Error(`${operator} needs a number, and ${field} is a ${type}`);
    if (type !== "string" && !isNumeric && !["=", "==", "!=", "in", "exists"].includes(operator))
      throw new Error(`${operator} needs a string, and ${field} is a ${type}`);
    const known = this.lists.get(list);
    const all = known ?? values;
    // Falco would take a misspelt list for a value and never say so; a rule that means one value has an operator for one.
    if (known === undefined && /^[a-z]\w*$/.test(list)) throw new Error(`unknown list ${list}`);
    for (const value of all) {
      if (type === "boolean" && !["true", "false"].includes(value)) throw new Error(`${field} is no ${value}`);
      if (type === "number" && !/^-?\d+$/.test(value)) throw new Error(`${field} is no ${value}`);
      if (field === "evt.type" && !EVENTS.includes(value)) throw new Error(`unknown event ${value}`);
      if (operator === "regex") new RegExp(value);
    }
  }

  private evaluate(node: Node, event: Event): boolean {
    switch (node.kind) {
      case "and":
        return node.parts.every((part) => this.evaluate(part, event));
      case "or":
        return node.parts.some((part) => this.evaluate(part, event));
      case "not":
        return !this.evaluate(node.part, event);
      case "macro":
        return this.evaluate(new Parser(this.macro(node.name)).parse(), event);
      case "check":
        return this.compare(node, event);
    }
  }

  /** A field without a value makes every comparison false; one with several, such as all ancestors, needs one that holds. */
  private compare({ field, transformer, operator, values, list }: Node & { kind: "check" }, event: Event): boolean {
    const found = event[field];
    if (found === undefined) return false;
    const known = this.lists.get(list) ?? values;
    const candidates = typeof found === "object" ? found : [String(found)];
    return candidates.some((candidate) => holds(transform(transformer, candidate), operator, known));
  }
}

const transform = (transformer: string, value: string): string => {
  switch (transformer) {
    case "basename":
      return value.slice(value.lastIndexOf("/") + 1);
    case "tolower":
      return value.toLowerCase();
    case "toupper":
      return value.toUpperCase();
    default:
      return value;
  }
};

const globPattern = (glob: string): RegExp =>
  new RegExp(
    `^${glob
      .replace(/[.+^${}()|[\]\\]/g, "\\$&")
      .replaceAll("*", ".*")
      .replaceAll("?", ".")}$`,
    "s",
  );

const holds = (value: string, operator: string, values: readonly string[]): boolean => {
  const [first = ""] = values;
  switch (operator) {
    case "exists":
      return true;
    case "=":
    case "==":
      return value === first;
    case "!=":
      return value !== first;
    case "in":
      return values.includes(value);
    case "pmatch":
      return values.some((prefix) => value === prefix || value.startsWith(`${prefix}/`));
    case "contains":
      return value.includes(first);
    case "startswith":
      return value.startsWith(first);
    case "endswith":
      return value.endsWith(first);
    case "glob":
      return globPattern(first).test(value);
    case "regex":
      return new RegExp(`^(?:${first})$`, "s").test(value);
    default:
      throw new Error(`the evaluator does not know ${operator}`);
  }
};
