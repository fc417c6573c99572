import { randomInt } from "node:crypto";

/** Inputs of a password, with every default filled in. */
export interface PasswordRules {
  length: number;
  lower: boolean;
  upper: boolean;
  numeric: boolean;
  special: boolean;
  minLower: number;
  minUpper: number;
  minNumeric: number;
  minSpecial: number;
  overrideSpecial: string;
}

const lowerCase = "abcdefghijklmnopqrstuvwxyz";
const digits = "0123456789";
/** Special characters where the inputs name none. */
export const defaultSpecial = "!@#$%&*()-_=+[]{}<>:?";

const pick = (alphabet: string): string => {
  const characters = Array.from(alphabet);
  return characters[randomInt(characters.length)] ?? "";
};

const shuffled = (characters: string[]): string[] => {
  const result = [...characters];
  for (let last = result.length - 1; last > 0; last--) {
    const other = randomInt(last + 1);
    [result[last], result[other]] = [result[other] ?? "", result[last] ?? ""];
  }
  return result;
};

/** A new password that keeps the rules; each character comes from the system's cryptographic source. */
export const generatePassword = (rules: PasswordRules): string => {
  const special = rules.overrideSpecial || defaultSpecial;
  const classes = [
    { alphabet: lowerCase, wanted: rules.lower, minimum: rules.minLower },
    { alphabet: lowerCase.toUpperCase(), wanted: rules.upper, minimum: rules.minUpper },
    { alphabet: digits, wanted: rules.numeric, minimum: rules.minNumeric },
    { alphabet: special, wanted: rules.special, minimum: rules.minSpecial },
  ];
  const required = classes.flatMap(({ alphabet, minimum }) => Array.from({ length: minimum }, () => pick(alphabet)));
  const all = classes.map(({ alphabet, wanted }) => (wanted ? alphabet : "")).join("");
  const free = Array.from({ length: rules.length - required.length }, () => pick(all));
  return shuffled([...required, ...free]).join("");
};
