/** Registers the worker that lets the page be installed, and open without a network. */

export async function setUpInstalled() {
  try {
    await navigator.serviceWorker?.register("worker.js"); // absent where the address is neither https nor localhost
  } catch {
    // the page works without it
  }
}
