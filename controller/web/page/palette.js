// Colours of both themes, and what a load share, a state or a tone looks like. The single source: style sheets get these
// as custom properties, and tests/unit/web/test_palette.py holds them against WCAG and the three dichromacies.

/** Shares of ampacity at which the stops of a ramp stand; strictly monotone in luminance. */
export const STOPS = [0, 0.3, 0.55, 0.75, 0.9, 1];

// Strict JSON between the marks, so that any language can read it.
/* json */
export const THEMES = {
  "dark": {
    "ground": "#0f141d", "panel": "#161d28", "raised": "#1f2937", "hair": "#2b3646", "edge": "#6f8095",
    "text": "#e8eef6", "muted": "#a3b2c4", "accent": "#74b4e6", "on-accent": "#08121d",
    "ok": "#7cc9a0", "warn": "#f2a654", "alarm": "#ff5fa2", "on-alarm": "#1d0410", "wash": "#3a1c2f",
    "source": "#74d6b0", "load": "#8fbdf0", "idle": "#8494a8", "casing": "#2c384b", "dash": "#ffffff", "dash-on-light": "#1c2330",
    "halo": "#dfe9f5",
    "risk": ["#e69f00", "#56b4e9", "#3fc79a", "#f0e442", "#cc79a7", "#a7b4ff"],
    "ramp": ["#54709c", "#5a90c4", "#86b4cd", "#c9c79a", "#f0d060", "#fff0b0"]
  },
  "light": {
    "ground": "#f4f6f9", "panel": "#ffffff", "raised": "#edf1f6", "hair": "#d6dde6", "edge": "#76859a",
    "text": "#16202c", "muted": "#52617a", "accent": "#1f6cae", "on-accent": "#ffffff",
    "ok": "#0f7350", "warn": "#9c4d00", "alarm": "#c4126b", "on-alarm": "#ffffff", "wash": "#fde8f2",
    "source": "#0b7f5c", "load": "#2f6ea8", "idle": "#74839a", "casing": "#cfd8e3", "dash": "#ffffff", "dash-on-light": "#16202c",
    "halo": "#33465c",
    "risk": ["#a86400", "#1c75b8", "#00785a", "#6f6800", "#a3478a", "#4a55b8"],
    "ramp": ["#858f9f", "#3c88cc", "#2f6ea8", "#6f5a14", "#74380a", "#52110a"]
  }
};
/* end */

/** How many colours a ramp is cut into: few enough for one path a colour, many enough to look continuous. */
export const STEPS = 24;

/**
 * A ramp as STEPS + 1 colours, by linear interpolation between its stops.
 * @param {string[]} ramp
 * @returns {string[]}
 */
export function rampColours(ramp) {
  return Array.from({ length: STEPS + 1 }, (_, step) => {
    const share = step / STEPS;
    const above = Math.max(1, STOPS.findIndex((stop) => stop >= share));
    const part = (share - STOPS[above - 1]) / (STOPS[above] - STOPS[above - 1]);
    return mixed(ramp[above - 1], ramp[above], part);
  });
}

/**
 * @param {string} from a colour, #rrggbb
 * @param {string} to
 * @param {number} part of `to`, 0 to 1
 */
export function mixed(from, to, part) {
  const channel = (at) => {
    const [a, b] = [from, to].map((colour) => parseInt(colour.slice(at, at + 2), 16));
    return Math.round(a + (b - a) * part).toString(16).padStart(2, "0");
  };
  return `#${channel(1)}${channel(3)}${channel(5)}`;
}

/** Relative luminance, as WCAG has it. @param {string} colour */
export function luminance(colour) {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const value = parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** The step of a ramp for a share; what is above 1 has the last. @param {number} share */
export function stepOf(share) {
  return Math.round(Math.min(1, Math.max(0, share)) * STEPS);
}

/**
 * Gives a theme's colours to the style sheets.
 * @param {"dark" | "light"} name
 */
export function applyTheme(name) {
  const root = document.documentElement;
  root.dataset.theme = name;
  for (const [key, value] of Object.entries(THEMES[name])) {
    if (typeof value === "string") root.style.setProperty(`--${key}`, value);
    else value.forEach((colour, index) => root.style.setProperty(`--${key}-${index}`, colour));
  }
  document.querySelector("meta[name=theme-color]")?.setAttribute("content", THEMES[name].panel);
}
