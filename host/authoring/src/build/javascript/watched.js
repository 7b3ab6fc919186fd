// Reads a module from standard input and writes it without types, and with each of its async functions passed to the
// SDK. The SDK reports such a function if it fails while nothing awaits it, which the runtime does not. No line moves,
// but text that follows on the same line does. The arguments are the module's name, and whether it has types.

const [name, isTyped] = process.argv.slice(1);
const source = require("fs").readFileSync(0, "utf8");

function stripped(text) {
  try {
    return require("amaro").transformSync(text, { mode: "strip-only" }).code;
  } catch (error) {
    process.stderr.write(`${error.startLine}:${error.startColumn + 1}: ${error.message ?? error}\n${error.snippet ?? ""}`);
    process.exit(1);
  }
}

// The texts to insert, by position: `behind` follows functions that end there, the innermost first; `before` precedes
// what begins there.
const places = new Map();
const place = (at) => places.get(at) ?? places.set(at, { behind: [], before: [] }).get(at);
const addBehind = (at, what) => place(at).behind.unshift(what);
const addBefore = (at, what) => place(at).before.push(what);
const quoted = (value) => JSON.stringify(value);

const isAsync = (node) => node?.async === true && !node.generator && /Function/.test(node.type);
const label = (named, node) => quoted(`${named || "an async function"} at ${name}:${node.loc.start.line}`);
const keyOf = (node) => (node.computed || node.key.type === "PrivateIdentifier" ? undefined : node.key.name ?? node.key.value);

// Methods of private and computed names cannot be replaced, and a function without a name cannot be reassigned: the body of such a
// one becomes an async function that is handed over when it is called. Offsets of what is blanked, by their new text.
const blanked = new Map();
const isBodyWatched = (node, parent) =>
  (/^(MethodDefinition|Property)$/.test(parent.type) && keyOf(parent) === undefined && node === parent.value && (parent.method || parent.kind === "method")) ||
  (parent.type === "ExportDefaultDeclaration" && node.type === "FunctionDeclaration" && !node.id);

function watchBody(node, parent) {
  const isMethod = parent.type !== "ExportDefaultDeclaration";
  const at = isMethod ? text.lastIndexOf("async", parent.key.start - 1) : node.start;
  const key = isMethod && (parent.key.type === "PrivateIdentifier" ? `#${parent.key.name}` : text.slice(parent.key.start - 1, parent.key.end + 1));
  // Without it, a computed name could go on what the field before it is set to.
  blanked.set(at, isMethod && parent.type === "MethodDefinition" && !parent.static ? ";    " : "     ");
  addBehind(node.body.start + 1, "return __noticing.promise((async()=>{");
  addBefore(node.body.end - 1, `})(),${label(key || "the default function", node)});`);
}

// The names of a scope's own async functions are reassigned where the scope begins, since declarations are hoisted.
function declared(body, at) {
  const declarations = body.map((one) => (/^Export(Named|Default)Declaration$/.test(one.type) ? one.declaration : one));
  const found = declarations.filter((one) => one?.type === "FunctionDeclaration" && one.id && isAsync(one));
  addBefore(at, found.map((one) => `${one.id.name}=__noticing(${one.id.name},${label(one.id.name, one)});`).join(""));
}

function methods(node, isOf) {
  const found = node.body.filter((one) => one.type === "MethodDefinition" && one.static === isOf && isAsync(one.value));
  const named = found.filter((one) => one.kind === "method" && keyOf(one) !== undefined);
  return named.map((one) => `__noticing.method(this${isOf ? "" : ".prototype"},${quoted(keyOf(one))},${label(keyOf(one), one)});`).join("");
}

// The SDK itself awaits each function that is passed to it.
const ours = new Set();
const isOurs = (callee) => callee.type === "Identifier" && ours.has(callee.name);

function wrap(node, named) {
  // Accessing the arrow function as a property gives it the name that it would have without the call.
  const key = quoted(named ?? "");
  const isNamed = node.id || named === undefined;
  addBefore(node.start, isNamed ? "__noticing(" : `__noticing({${key}:`);
  addBehind(node.end, `${isNamed ? "" : `}[${key}]`},${label(node.id?.name ?? named, node)})`);
}

function visit(node, parent) {
  if (Array.isArray(node)) return node.forEach((one) => visit(one, parent));
  if (typeof node?.type !== "string") return;
  if (node.type === "ImportDeclaration" && node.source.value === "parlor") {
    for (const one of node.specifiers) ours.add(one.local.name);
  }
  if (node.type === "Program") declared(node.body, node.body[0]?.directive ? node.body[0].end : 0);
  if (node.type === "BlockStatement") declared(node.body, node.body[0]?.directive ? node.body[0].end : node.start + 1);
  if (node.type === "ClassBody") {
    const all = methods(node, false) + methods(node, true);
    if (all) addBefore(node.start + 1, `static{${all}}`);
  }
  if (node.type === "ObjectExpression") {
    const found = node.properties.filter((one) => one.method && isAsync(one.value) && keyOf(one) !== undefined);
    if (found.length > 0) {
      addBefore(node.start, "__noticing.object(");
      addBehind(node.end, `,${JSON.stringify(found.map((one) => [keyOf(one), JSON.parse(label(keyOf(one), one))]))})`);
    }
  }
  if (isAsync(node) && isBodyWatched(node, parent)) {
    watchBody(node, parent);
  } else if (isAsync(node) && node.type !== "FunctionDeclaration") {
    const isMethod = parent.type === "MethodDefinition" || (parent.type === "Property" && parent.method);
    if (isMethod || (parent.type === "CallExpression" && isOurs(parent.callee))) {
      // Nothing to do: it is passed to the SDK anyway, or the object or class of the method does that.
    } else if (parent.type === "VariableDeclarator" && parent.id.type === "Identifier") wrap(node, parent.id.name);
    else if (/^Property/.test(parent.type) && keyOf(parent) !== undefined) wrap(node, keyOf(parent));
    else if (parent.type === "AssignmentExpression" && parent.left.type === "Identifier") wrap(node, parent.left.name);
    else wrap(node);
  }
  for (const key of Object.keys(node)) {
    if (key !== "type" && key !== "loc") visit(node[key], node);
  }
}

let text;

function watched() {
  try {
    visit(require("acorn").parse(text, { ecmaVersion: "latest", sourceType: "module", locations: true }));
  } catch {
    // The runtime reports what is wrong with it.
    return text;
  }
  for (const [at, instead] of blanked) text = text.slice(0, at) + instead + text.slice(at + instead.length);
  const parts = [];
  let done = 0;
  for (const at of [...places.keys()].sort((one, other) => one - other)) {
    parts.push(text.slice(done, at), ...places.get(at).behind, ...places.get(at).before);
    done = at;
  }
  return parts.join("") + text.slice(done);
}

text = isTyped === "true" ? stripped(source) : source;
process.stdout.write(watched());
