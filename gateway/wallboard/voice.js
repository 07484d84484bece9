// What is said and sounded: one sentence in ten seconds to a screen reader, two soft tones for a new critical alert.

const QUIET = 10e3,
  AGAIN = 120e3;
const said = { at: -1e9, timer: null };

/** Say a sentence in the region `where` ("polite" or "urgent"): at most one in 10 s, the newest wins; `now`: at once. */
export function say(where, sentence, now = false) {
  clearTimeout(said.timer);
  const speak = () => {
    said.at = performance.now();
    document.getElementById(where).textContent = sentence;
  };
  const wait = now ? 0 : said.at + QUIET - performance.now();
  if (wait <= 0) speak();
  else said.timer = setTimeout(speak, wait);
}

/** The sound: off until it is switched on; "blocked" where the browser does not let it. */
export class Sound {
  constructor() {
    this.state = "off";
    this.played = 0;
    this.audio = null;
  }

  /** Let it sound; afterwards `state` is "on" or "blocked". */
  async unlock() {
    this.audio ??= typeof AudioContext === "undefined" ? null : new AudioContext();
    await Promise.race([this.audio?.resume(), new Promise((done) => setTimeout(done, 300))]).catch(() => {});
    this.state = this.audio?.state === "running" ? "on" : "blocked";
  }

  off() {
    this.state = "off";
  }

  /** Two soft tones. */
  play() {
    if (this.state !== "on") return;
    this.played = performance.now();
    [660, 880].forEach((pitch, i) => this.#tone(pitch, this.audio.currentTime + i * 0.35));
  }

  /** Sound once more where a critical alert has gone without an answer for two minutes. */
  remind(waiting) {
    if (this.played && waiting && performance.now() - this.played > AGAIN) this.play();
  }

  #tone(pitch, at) {
    const tone = this.audio.createOscillator(),
      gain = this.audio.createGain();
    tone.frequency.value = pitch;
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(0.12, at + 0.04);
    gain.gain.linearRampToValueAtTime(0, at + 0.3);
    tone.connect(gain).connect(this.audio.destination);
    tone.start(at);
    tone.stop(at + 0.32);
  }
}
