// Papa Parse's own test cases as JSON: what it was given, how it was told to read it, and what must come out.
import { readFileSync } from "node:fs";
import vm from "node:vm";

const nothing = () => nothing;
const stub = new Proxy(nothing, { get: (_, name) => (name === Symbol.toPrimitive ? () => "" : stub), apply: () => stub });
const world = { chai: stub, Papa: stub, window: {}, describe: nothing, it: nothing, document: { getElementById: () => ({ src: "test-cases.js" }) } };
vm.createContext(world);
vm.runInContext(readFileSync("node_modules/papaparse/tests/test-cases.js", "utf8"), world);
const cases = [...world.CORE_PARSER_TESTS, ...world.PARSE_TESTS]
  .filter((one) => typeof one.input === "string")
  .map(({ description, input, config, expected }) => ({
    description,
    input,
    config: Object.fromEntries(Object.entries(config ?? {}).map(([name, value]) => [name, typeof value === "function" ? "function" : value])),
    data: expected.data,
    errors: (expected.errors ?? []).map((error) => error.code),
  }));
console.log(JSON.stringify(cases));
