// Patterns with `*`, as filters, silences and boards write them.

/** A pattern with `*` against a text, as a filter types it. */
export function matches(pattern, text) {
  const parts = pattern.toLowerCase().split("*"),
    value = text.toLowerCase();
  if (parts.length === 1) return value.includes(parts[0]);
  let at = 0;
  for (let i = 0; i < parts.length; i++) {
    const found = value.indexOf(parts[i], at);
    if (found < 0 || (i === 0 && found !== 0)) return false;
    at = found + parts[i].length;
  }
  return parts[parts.length - 1] === "" || value.endsWith(parts[parts.length - 1]);
}
export const whole = (pattern, text) => (pattern.includes("*") ? matches(pattern, text) : pattern === text);

/** Whether a name is one of those that patterns allow; none allow all. */
export const fits = (patterns, name) => !patterns?.length || patterns.some((pattern) => whole(pattern, name));
