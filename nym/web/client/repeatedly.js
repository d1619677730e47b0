// Asks again and again for what a part of the page shows, as long as it is shown.

const PERIOD = 5000; // milliseconds

/**
 * Call `load` at once, whenever the connection is back, and every five seconds, while the part is shown. Returns
 * the part's show(isShown). What `load` throws because the connection was lost is nothing to say more about.
 */
export function repeatedly(client, load) {
  let timer = null;

  async function once() {
    try {
      await load();
    } catch (error) {
      if (error.code !== "lost") throw error;
    }
  }

  client.on("open", () => timer && once());
  return (isShown) => {
    clearInterval(timer);
    timer = isShown ? setInterval(() => document.hidden || once(), PERIOD) : null;
    if (isShown) once();
  };
}
