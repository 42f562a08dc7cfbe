// Fields of a form: a label, something to enter, and what is wrong with it.
import { by, make, setText } from "./dom.js";

let count = 0;

const input = props => make("input", { autocomplete: "off", spellcheck: false, ...props });
const square = list => list.length === 1 ? [...list, ...list] : list;
const sides = text => square(text.split(/[x\u00d7,\s]+/).filter(t => t).map(Number));

// How each kind is made, what value it holds (undefined for none), and how a value is shown.
const KINDS = {
  text: { make: () => input({ type: "text" }), get: c => c.value || undefined, set: (c, v) => { c.value = v ?? ""; } },
  number: { make: () => input({ type: "number", step: "any" }), get: c => c.value === "" ? undefined : Number(c.value),
    set: (c, v) => { c.value = typeof v === "number" ? v : ""; } },
  whole: { make: () => input({ type: "number", step: 1 }), get: c => c.value === "" ? undefined : Number(c.value),
    set: (c, v) => { c.value = typeof v === "number" ? v : ""; } },
  choice: { make: () => make("select"), get: c => c.value || undefined,
    set: (c, v) => { c.value = v ?? ""; } },
  tick: { make: () => input({ type: "checkbox" }), get: c => c.checked, set: (c, v) => { c.checked = v === true; } },
  size: { make: () => input({ type: "text", pattern: "\\s*\\d+\\s*([x\u00d7,]\\s*\\d+\\s*)?", title: "64 or 48x64, height first" }),
    get: c => c.value.trim() ? sides(c.value) : undefined, set: (c, v) => { c.value = Array.isArray(v) ? v.join("x") : ""; } },
  list: { make: () => input({ type: "text", title: "a list, as JSON" }), get: c => {
    c.setCustomValidity("");
    if (!c.value.trim())
      return undefined;
    try {
      return JSON.parse(c.value);
    } catch {
      c.setCustomValidity("a list in brackets, as JSON has them");
      return undefined;
    }
  }, set: (c, v) => { c.value = v === undefined ? "" : JSON.stringify(v); } },
};

// `spec` is {label, kind, more}, `more` properties of what is entered into; `taken` is called with each new value.
export class Field {
  constructor(spec, taken) {
    const { label, kind, more = {} } = spec, id = "field" + ++count;
    this.spec = spec;
    this.kind = KINDS[kind];
    this.control = Object.assign(this.kind.make(), { id, ...more });
    this.error = make("p", { id: id + "-error", className: "bad" });
    const name = make("label", { htmlFor: id }, label);
    this.box = make("div", { className: kind === "tick" ? "field tick" : "field" },
      ...(kind === "tick" ? [this.control, name] : [name, this.control]), this.error);
    this.control.addEventListener(kind === "tick" || kind === "choice" ? "change" : "input", () => taken(this.get(), this));
  }

  get() {
    return this.kind.get(this.control);
  }

  // What is being entered stays as it is written while it says the same, or nothing yet.
  set(v) {
    if (JSON.stringify(this.get()) !== JSON.stringify(v) || (this.control.validity.customError && this.control !== document.activeElement))
      this.kind.set(this.control, v);
  }

  // [value, text] each; what is not among them shows as nothing.
  offer(options) {
    const is = JSON.stringify(options), chosen = this.control.value;
    if (this.offered === is)
      return;
    this.offered = is;
    this.control.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
    this.control.value = chosen;
  }

  wrong(text) {
    setText(this.error, text);
    this.control.ariaInvalid = text ? "true" : null;
    if (text)
      this.control.setAttribute("aria-describedby", this.error.id);
    else
      this.control.removeAttribute("aria-describedby");
  }
}

export function group(title, ...boxes) {
  return make("fieldset", { className: "fields" }, make("legend", {}, title), ...boxes);
}

// Shows a part of the page that was not asked for before, and goes there.
export function show(section, title) {
  by(section).hidden = false;
  by(title).focus();
  by(section).scrollIntoView({ block: "start" });
}
