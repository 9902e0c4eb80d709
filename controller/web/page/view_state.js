// How somebody likes to look at things: kept by the browser, unlike what is looked at, which is in the URL.

import { computed, signal } from "./vendor/ui.js";
import { applyTheme, THEMES } from "./palette.js";
import { route } from "./route.js";

const darkSystem = matchMedia("(prefers-color-scheme: dark)");
const stillSystem = matchMedia("(prefers-reduced-motion: reduce)");

/** A choice of this browser; "" follows the system. @param {string} name */
function kept(name) {
  const held = signal(localStorage.getItem(`dgc-${name}`) ?? "");
  return {
    get value() {
      return held.value;
    },
    set value(value) {
      held.value = value;
      if (value) localStorage.setItem(`dgc-${name}`, value);
      else localStorage.removeItem(`dgc-${name}`);
    },
  };
}

export const choices = { theme: kept("theme"), motion: kept("motion"), legend: kept("legend") };

const systemDark = signal(darkSystem.matches);
const systemStill = signal(stillSystem.matches);
darkSystem.addEventListener("change", () => { systemDark.value = darkSystem.matches; });
stillSystem.addEventListener("change", () => { systemStill.value = stillSystem.matches; });

/** @type {import("./vendor/ui.js").ReadonlySignal<"dark" | "light">} */
export const themeName = computed(() => {
  const chosen = choices.theme.value || (systemDark.value ? "dark" : "light");
  return chosen === "light" ? "light" : "dark";
});
export const theme = computed(() => THEMES[themeName.value]);
export const motion = computed(() => (choices.motion.value ? choices.motion.value === "on" : !systemStill.value));

/** Follows the chosen theme. */
export function followTheme() {
  themeName.subscribe((name) => applyTheme(name));
}

/** What the map is coloured by. */
export const COLOURS = { load: "Load", loss: "Loss", price: "Price", risk: "Risk" };
export const colour = computed(() => (route.value.params.colour in COLOURS ? route.value.params.colour : "load"));
export const labels = computed(() => route.value.params.labels !== "off");
/** reserved, or measured where meters are read. */
export const flow = computed(() => (route.value.params.flow === "measured" ? "measured" : "reserved"));
/** The time that is looked at; 0 is now. */
export const cursorMs = computed(() => Number(route.value.params.at) || 0);

/**
 * What a dialog wants to be seen on the map before it acts.
 * @type {import("./vendor/ui.js").Signal<import("./scene.js").Emphasis | null>}
 */
export const preview = signal(null);
/** Routers being arranged: places that are not saved yet; null where nobody arranges. */
export const arranging = signal(/** @type {Map<string, [number, number]> | null} */ (null));
/** Prices by router, as a market cleared them: beside their names while they are looked at. @type {import("./vendor/ui.js").Signal<Map<string, string> | null>} */
export const prices = signal(null);
/** The trade that is selected, as its exchange tells it. @type {import("./vendor/ui.js").Signal<any>} */
export const trade = signal(null);
/** What the pointer is on, in a table: shown on the map. */
export const pointed = signal(/** @type {{kind: string, id: string} | null} */ (null));
