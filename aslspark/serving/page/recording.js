/** Labelled pictures of one's own hand -> the service's folder. The page shows this where the service keeps them. */

const SIDE = 640;
const READY = 2000; // milliseconds to bring the hand into place
const BETWEEN = 200;

/** The token, where the service has one: the page is opened as /#token=..., whose part after # no browser sends. */
const token = new URLSearchParams(location.hash.slice(1)).get("token");
export const authorization = token ? { authorization: `Bearer ${token}` } : {};

const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export function setUpRecording(camera, labels) {
  const $ = (id) => document.getElementById(id);
  $("record").hidden = false;
  $("label").replaceChildren(...labels.map((label) => new Option(label, label)));
  const button = $("start-record");
  let running = false;

  const say = (words) => ($("record-status").textContent = words);

  async function record() {
    const [signer, label] = [$("signer").value.trim(), $("label").value];
    const count = Math.min(200, Math.max(1, Number($("count").value) || 1));
    if (!camera.on) return say("Start the camera first");
    if (!$("signer").checkValidity() || !signer) return say("Signer: letters, digits, - and _");
    running = true;
    button.textContent = "Stop";
    say(`Hold ${label}`);
    await wait(READY);
    let kept = 0;
    while (running && camera.on && kept < count) {
      const path = `recordings/${encodeURIComponent(signer)}/${encodeURIComponent(label)}`;
      const picture = await camera.picture(SIDE);
      const headers = { "content-type": "image/jpeg", ...authorization };
      const answer = await fetch(path, { method: "POST", body: picture, headers });
      if (!answer.ok) return say((await answer.json()).reason);
      kept += 1;
      $("record-status").dataset.kept = String(kept);
      await wait(BETWEEN);
    }
    return say(`${kept} ${kept === 1 ? "picture" : "pictures"} of ${label} kept`);
  }

  button.onclick = async () => {
    if (running) {
      running = false;
      return;
    }
    try {
      await record();
    } catch {
      say("The service does not answer");
    } finally {
      running = false;
      button.textContent = "Record";
    }
  };
}
