// A browser has six connections to a server for all its windows together. The window that was used last holds open
// streams; the others read theirs in sips, so that however many windows leave room for what is asked.

let mine = true, sending = 0, changed = () => {};

export const live = () => mine && !sending;

function set(now, more) {
  const was = live();
  mine = now;
  sending += more;
  if (live() !== was)
    changed();
}

// A long upload takes a connection for itself.
export const hold = on => set(mine, on ? 1 : -1);

// `then` is called whenever live() has changed.
export function prepare(then) {
  changed = then;
  const channel = new BroadcastChannel("cnnd-windows");
  const claim = () => {
    if (document.hidden)
      return;
    channel.postMessage("mine");
    set(true, 0);
  };
  channel.addEventListener("message", () => set(false, 0));
  addEventListener("focus", claim);
  addEventListener("pointerdown", () => { if (!mine) claim(); });
  document.addEventListener("visibilitychange", claim);
  if (document.hasFocus())
    claim();
  else
    mine = false;
}
