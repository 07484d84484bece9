// What this reader likes on this screen: language, theme, sound, keys; kept in its storage, where there is one.

import { LANGS } from "./words.js";

export const stored = (name) => {
  try {
    return localStorage.getItem("tidewatch." + name);
  } catch {
    return null;
  }
};
export const store = (name, value) => {
  try {
    localStorage.setItem("tidewatch." + name, value);
  } catch {
    /* private window: it lasts as long as the page */
  }
};
const one = (name, allowed, otherwise) => (allowed.includes(stored(name)) ? stored(name) : otherwise);
export const liked = () => ({
  lang: one("lang", LANGS, /^zh\b/i.test(navigator.language ?? "") ? "zh" : "en"),
  theme: one("theme", ["dark", "light"], matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark"),
});
