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

// null where a browser is told to keep nothing for a site; windows then cannot hear of each other.
function channelOf(name) {
  try {
    return new BroadcastChannel(name);
  } catch {
    return null;
  }
}

// `then` is called whenever live() has changed.
export function prepare(then) {
  changed = then;
  const channel = channelOf("cnnd-windows");
  const claim = () => {
    if (document.hidden)
      return;
    channel?.postMessage("mine");
    set(true, 0);
  };
  if (channel)
    channel.addEventListener("message", () => set(false, 0));
  else
    addEventListener("blur", () => set(false, 0));
  addEventListener("focus", claim);
  addEventListener("pointerdown", () => { if (!mine) claim(); });
  document.addEventListener("visibilitychange", claim);
  if (document.hasFocus())
    claim();
  else
    mine = false;
}
