// What the pack's scripts say, in the language of the front end: locales/*/main.json, by what English says. Where that has
// no such words, or the server gives none, it is English.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";

let languages = {};

// `english` in the user's language, with each {name} filled in.
export function translate(english, values = {}) {
  const words = languages[app.extensionManager.setting.get("Comfy.Locale")]?.ASDM;
  return (words?.[english] ?? english).replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

app.registerExtension({
  name: "ASDM.Words",
  // The front end waits for it before it opens a graph.
  async setup() {
    try {
      const answer = await api.fetchApi("/i18n");
      if (answer.ok) languages = await answer.json();
    } catch (error) {
      console.warn("ASDM: no words but English", error);
    }
  },
});
