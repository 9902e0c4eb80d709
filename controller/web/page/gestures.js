// Fingers, mouse, wheel and keys on the map: pan, zoom, point, select, and drag routers while they are arranged.

import { panned, toWorld, zoomed } from "./camera.js";
import { go } from "./route.js";
import { arranging, pointed } from "./view_state.js";

// A press that moves less is a click.
const CLICK_PX = 5;
const REACH_PX = { mouse: 9, pen: 12, touch: 18 };
const STEP_PX = 90;

/**
 * @param {import("./mapper.js").Mapper} mapper
 * @param {(at: {x: number, y: number, kind: string, id: string} | null) => void} tell what the pointer is on
 */
export function listen(mapper, tell) {
  const { host } = mapper;
  const pointers = new Map();
  let press = null;

  const place = (event) => {
    const box = host.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  host.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const [x, y] = place(event);
    pointers.set(event.pointerId, [x, y]);
    host.setPointerCapture(event.pointerId);
    const on = mapper.hit(x, y, REACH_PX[event.pointerType] ?? 9);
    press = { x, y, moved: 0, on, drags: arranging.value && on?.routers.length === 1 ? on.routers[0] : null };
    tell(null);
  });

  host.addEventListener("pointermove", (event) => {
    const [x, y] = place(event);
    const before = pointers.get(event.pointerId);
    if (!before) {
      hover(event, x, y);
      return;
    }
    const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    if (others.length) pinch(before, [x, y], others[0]);
    else if (press?.drags) drag(press.drags, x, y);
    else if (press && press.moved > CLICK_PX) mapper.moveTo(panned(mapper.camera, x - before[0], y - before[1]));
    if (press) press.moved = Math.max(press.moved, Math.hypot(x - press.x, y - press.y));
    // What was moved before it was clear that this is no click counts too.
    if (press && (press.moved > CLICK_PX || others.length || press.drags)) pointers.set(event.pointerId, [x, y]);
  });

  const release = (event) => {
    pointers.delete(event.pointerId);
    if (event.type === "pointerup" && press && press.moved <= CLICK_PX && !pointers.size) click(press.on);
    if (!pointers.size) press = null;
  };
  host.addEventListener("pointerup", release);
  host.addEventListener("pointercancel", release);
  host.addEventListener("pointerleave", () => {
    tell(null);
    pointed.value = null;
  });
  host.addEventListener("wheel", (event) => {
    event.preventDefault();
    const [x, y] = place(event);
    const unit = event.deltaMode === 1 ? 18 : 1;
    zoomBy(Math.exp(-event.deltaY * unit * 0.0018), x, y);
  }, { passive: false });
  host.addEventListener("dblclick", (event) => zoomBy(2, ...place(event)));
  host.addEventListener("keydown", (event) => keyed(event));

  function hover(event, x, y) {
    const on = mapper.hit(x, y, REACH_PX[event.pointerType] ?? 9);
    host.classList.toggle("on-thing", Boolean(on));
    if (on?.kind !== pointed.value?.kind || on?.id !== pointed.value?.id) pointed.value = on;
    tell(on ? { x, y, ...on } : null);
  }

  function click(on) {
    if (on) go({ kind: on.kind, id: on.id });
    else go({ kind: "", id: "" });
  }

  function zoomBy(factor, x, y) {
    const { camera, painter, whole } = mapper;
    if (!camera) return;
    mapper.moveTo(zoomed(camera, painter.size, factor, x, y, whole.zoom));
  }

  function pinch(before, now, other) {
    const factor = Math.hypot(now[0] - other[0], now[1] - other[1]) / (Math.hypot(before[0] - other[0], before[1] - other[1]) || 1);
    zoomBy(factor, (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    mapper.moveTo(panned(mapper.camera, (now[0] - before[0]) / 2, (now[1] - before[1]) / 2));
  }

  function drag(id, x, y) {
    arranging.value = new Map(arranging.value).set(id, toWorld(mapper.camera, mapper.painter.size, x, y));
  }

  function keyed(event) {
    const { width, height } = mapper.painter.size;
    const acts = {
      ArrowLeft: () => mapper.moveTo(panned(mapper.camera, STEP_PX, 0)),
      ArrowRight: () => mapper.moveTo(panned(mapper.camera, -STEP_PX, 0)),
      ArrowUp: () => mapper.moveTo(panned(mapper.camera, 0, STEP_PX)),
      ArrowDown: () => mapper.moveTo(panned(mapper.camera, 0, -STEP_PX)),
      "+": () => zoomBy(1.4, width / 2, height / 2),
      "=": () => zoomBy(1.4, width / 2, height / 2),
      "-": () => zoomBy(1 / 1.4, width / 2, height / 2),
      0: () => mapper.fit(),
    };
    const act = event.ctrlKey || event.metaKey || event.altKey ? null : acts[event.key];
    if (!act || !mapper.camera) return;
    event.preventDefault();
    event.stopPropagation();
    act();
    if (event.key === "0") go({ params: { camera: "" } }, true);
  }
}
