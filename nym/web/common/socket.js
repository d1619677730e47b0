// A WebSocket that comes back: after each end, it is opened again, at first soon and then more seldom.

const SOONEST = 500; // milliseconds
const LATEST = 10_000;

/**
 * Calls `opened(send)` whenever a WebSocket at `url()` is open, `heard(object)` for each JSON object that
 * comes, and `lost(wasOpen)` whenever it ends.
 */
export function stayConnected(url, { opened, heard, lost }) {
  let wait = SOONEST;

  function connect() {
    let wasOpen = false;
    const socket = new WebSocket(url());
    socket.addEventListener("open", () => {
      wasOpen = true;
      wait = SOONEST;
      opened((object) => socket.send(JSON.stringify(object)));
    });
    socket.addEventListener("message", (event) => heard(JSON.parse(event.data)));
    socket.addEventListener("close", () => {
      lost(wasOpen);
      setTimeout(connect, wait);
      wait = Math.min(LATEST, 2 * wait);
    });
  }

  connect();
}
