// JSON as text: where it is wrong, and how it is laid out. The text of numbers stays what it is.

const TOKEN =
  /[ \t\n\r]+|"(?:[^"\\\u0000-\u001f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[{}[\],:]/y;

/** Return the tokens of a text and where they begin, or the place where it is no JSON. */
export function parse(text) {
  const tokens = [];
  const places = [];
  const open = [];
  let expected = "value";
  let at = 0;
  const wrong = (message) => ({ error: { message, at, ...lineOf(text, at) } });
  while (at < text.length) {
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(text)?.[0];
    if (token === undefined) return wrong(meant(text, at, expected));
    if (!token.trim()) {
      at += token.length;
      continue;
    }
    const isKey = expected === "key" || expected === "key or }";
    if (expected === "nothing more") return wrong("Expected nothing more");
    if (token === "{" || token === "[") {
      if (!expected.startsWith("value")) return wrong(`Expected ${expected}`);
      open.push(token);
      expected = token === "{" ? "key or }" : "value or ]";
    } else if (token === "}" || token === "]") {
      const isEnd = expected.endsWith(token);
      if (!isEnd) return wrong(`Expected ${expected}`);
      open.pop();
      expected = after(open);
    } else if (token === ",") {
      if (!expected.startsWith(",")) return wrong(`Expected ${expected}`);
      expected = open.at(-1) === "{" ? "key" : "value";
    } else if (token === ":") {
      if (expected !== ":") return wrong(`Expected ${expected}`);
      expected = "value";
    } else if (isKey) {
      if (token[0] !== '"') return wrong(`Expected ${expected}`);
      expected = ":";
    } else {
      if (!expected.startsWith("value")) return wrong(`Expected ${expected}`);
      expected = after(open);
    }
    tokens.push(token);
    places.push(at);
    at += token.length;
  }
  return expected === "nothing more" ? { tokens, places } : wrong(`The text ends; expected ${expected}`);
}

const after = (open) => {
  if (!open.length) return "nothing more";
  return open.at(-1) === "{" ? ", or }" : ", or ]";
};

function meant(text, at, expected) {
  if (text[at] === '"') return "This text has no end, or a character that needs a backslash";
  if (text[at] === "'") return 'Expected double quotes (")';
  return `Expected ${expected}`;
}

function lineOf(text, at) {
  const before = text.slice(0, at).split("\n");
  return { line: before.length, column: before.at(-1).length + 1 };
}

/** Lay tokens out over lines. */
export function format(tokens) {
  let depth = 0;
  let text = "";
  const line = () => `\n${"  ".repeat(depth)}`;
  for (const [index, token] of tokens.entries()) {
    const previous = tokens[index - 1];
    if (token === "}" || token === "]") {
      depth--;
      text += previous === "{" || previous === "[" ? token : line() + token;
      continue;
    }
    if (previous === "{" || previous === "[" || previous === ",") text += line();
    text += token === ":" ? ": " : token;
    if (token === "{" || token === "[") depth++;
  }
  return text;
}

/** Return the texts of the values of `"value"` in the results of a batch, in their order. */
export function valuesOf(text) {
  const { tokens = [], places } = parse(text);
  const found = [];
  let depth = 0;
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index];
    if (token === "{" || token === "[") depth++;
    else if (token === "}" || token === "]") depth--;
    if (token === "{" && depth === 3) found.push(undefined);
    if (depth === 3 && token === '"value"' && tokens[index + 1] === ":") {
      const start = index + 2;
      let inside = 0;
      index++;
      do {
        const one = tokens[++index];
        if (one === "{" || one === "[") inside++;
        else if (one === "}" || one === "]") inside--;
      } while (inside);
      found[found.length - 1] = text.slice(places[start], places[index] + tokens[index].length);
    }
  }
  return found;
}
