/**
 * Lets the page open without a network: its own files, which shell.js lists, come from the network first and else from this
 * browser's cache. What is large and of one version alone comes from the cache first.
 */

importScripts("shell.js"); // gives SHELL, { version, files }; another version makes the browser install this anew

const LARGE = /\/(onnxruntime|hands)\/[^/]+$/;
const OWNER = `aslspark ${registration.scope} `; // other pages at this host have caches of their own
const NAME = OWNER + SHELL.version;
const OWN = new Set(SHELL.files.map((file) => new URL(file, location).href));

addEventListener("install", (event) => event.waitUntil(keepAll()));
addEventListener("activate", (event) => event.waitUntil(takeOver()));
addEventListener("fetch", (event) => {
  const address = event.request.url.split(/[?#]/)[0];
  if (event.request.method !== "GET" || !OWN.has(address)) return;
  event.respondWith(LARGE.test(address) ? fromCache(event, address) : fromNetwork(event, address));
});

async function keepAll() {
  const cache = await caches.open(NAME);
  await cache.addAll(SHELL.files.map((file) => new Request(file, { cache: "no-cache" })));
  await skipWaiting();
}

async function takeOver() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(OWNER) && name !== NAME).map((name) => caches.delete(name)));
  await clients.claim();
}

async function fromCache({ request }, address) {
  const kept = await (await caches.open(NAME)).match(address);
  return kept ?? fetch(request);
}

async function fromNetwork(event, address) {
  const cache = await caches.open(NAME);
  let answer;
  try {
    answer = await fetch(event.request);
  } catch (error) {
    const kept = await cache.match(address);
    if (kept) return kept;
    throw error;
  }
  if (answer.ok) event.waitUntil(cache.put(address, answer.clone()).catch(() => {})); // no room: the kept one stays
  return answer;
}
