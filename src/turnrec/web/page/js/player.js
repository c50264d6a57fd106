/** The player: the sound of one recording and its waveform. The view asks it to play, seek and tell. */
import WaveSurfer from "../vendor/wavesurfer/wavesurfer.esm.js";
import { ask, getJson, segment } from "./api.js";

/** The height is part of the one inline style that the page's Content-Security-Policy lets through. */
const HEIGHT_PX = 112;
/** From this length on the sound comes as FLAC: the same samples, half the bytes. */
const LONG_S = 600;

export class Player {
  /** @param {object} recording with `id` and `duration_s`. `onChange` is told of changes, `onTick` of each frame that plays. */
  constructor(recording, onChange, onTick) {
    this.recording = recording;
    this.seconds = recording.duration_s ?? 0;
    this.audio = new Audio();
    this.audio.preload = "auto";
    this.ready = false;
    this.fetched = 0;
    this.total = null;
    this._onChange = onChange;
    this._onTick = onTick;
    this._url = null;
    this._surfer = null;
    this._frame = 0;
    for (const event of ["play", "pause", "seeked", "ended", "ratechange", "volumechange", "loadedmetadata"])
      this.audio.addEventListener(event, () => this._changed());
    this._scheme = window.matchMedia("(prefers-color-scheme: dark)");
    this._recolour = () => this._surfer?.setOptions(colours());
    this._scheme.addEventListener("change", this._recolour);
  }

  /** Fetch peaks and sound, and draw into `container`.
   * @throws {Problem|Away|DOMException} they can't be had, or `signal` aborted. */
  async load(container, signal) {
    const path = `/v1/recordings/${segment(this.recording.id)}`;
    const peaks = await getJson(`${path}/peaks`, { points: 2000 }, signal);
    const loudness = peaks.points.map(([low, high]) => Math.max(-low, high));
    const format = this.seconds > LONG_S ? "flac" : "wav";
    this._draw(container, loudness);
    const blob = await this._fetch(`${path}/audio`, format, signal);
    this._url = URL.createObjectURL(blob);
    const isPlayable = new Promise((resolve, reject) => {
      this.audio.addEventListener("loadedmetadata", resolve, { once: true });
      this.audio.addEventListener("error", () => reject(new Error("this browser can’t play the file")), { once: true });
    });
    this.audio.src = this._url;
    await isPlayable;
    this.ready = true;
    this._changed();
  }

  _draw(container, loudness) {
    this._surfer = WaveSurfer.create({
      container, height: HEIGHT_PX, peaks: [loudness], duration: this.seconds || 0.001, interact: false,
      cursorWidth: 0, barWidth: 2, barGap: 1, barRadius: 2, barMinHeight: 1, normalize: true, hideScrollbar: true,
      ...colours(),
    });
  }

  async _fetch(path, format, signal) {
    const response = await ask(path, { query: { format }, signal });
    this.total = Number(response.headers.get("Content-Length")) || null;
    const reader = response.body.getReader();
    const pieces = [];
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      pieces.push(value);
      this.fetched += value.length;
      this._changed();
    }
    return new Blob(pieces, { type: format === "flac" ? "audio/flac" : "audio/wav" });
  }

  get playing() {
    return !this.audio.paused && !this.audio.ended;
  }

  /** Seconds from the file's beginning. */
  get at() {
    return this.audio.currentTime;
  }

  toggle() {
    if (!this.ready) return;
    if (this.playing) this.audio.pause();
    else this.audio.play().catch(() => {});
  }

  seek(second) {
    if (!this.ready) return;
    this.audio.currentTime = Math.max(0, Math.min(this.seconds, second));
    this._changed();
  }

  setRate(rate) {
    this.audio.playbackRate = rate;
  }

  setVolume(volume) {
    this.audio.volume = volume;
  }

  _changed() {
    cancelAnimationFrame(this._frame);
    // The waveform follows our own player: it has none of its own.
    this._surfer?.setTime(this.at);
    this._onChange();
    if (this.playing) this._frame = requestAnimationFrame(() => this._tick());
  }

  _tick() {
    this._surfer?.setTime(this.at);
    this._onTick();
    if (this.playing) this._frame = requestAnimationFrame(() => this._tick());
  }

  destroy() {
    cancelAnimationFrame(this._frame);
    this._scheme.removeEventListener("change", this._recolour);
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.audio.load();
    if (this._url) URL.revokeObjectURL(this._url);
    this._surfer?.destroy();
    this._onChange = this._onTick = () => {};
  }
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  return { waveColor: style.getPropertyValue("--wave").trim(), progressColor: style.getPropertyValue("--wave-played").trim() };
}
