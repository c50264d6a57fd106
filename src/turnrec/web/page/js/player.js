/** The player: the sound of one recording and its waveform. The view asks it to play, seek and tell. */
import WaveSurfer from "../vendor/wavesurfer/wavesurfer.esm.js";
import { ask, getJson, segment } from "./api.js";

/** The height is part of the one inline style that the page's Content-Security-Policy lets through. */
const HEIGHT_PX = 112;
/** From this length on the sound comes as FLAC: the same samples, half the bytes. */
const LONG_S = 600;

export class Player {
  /**
   * @param {object} recording with `id` and `duration_s`.
   * @param {object} told `onChange()` of changes, `onTick()` of each frame that plays, `onProblem(error)`.
   */
  constructor(recording, { onChange, onTick, onProblem }) {
    this.recording = recording;
    this.seconds = recording.duration_s ?? 0;
    this.audio = new Audio();
    /** Whether it can be moved and played. */
    this.ready = false;
    this.isFetching = false;
    this.fetched = 0;
    this.total = null;
    this._told = { onChange, onTick, onProblem };
    this._hasSound = false;
    this._wantsPlay = false;
    this._at = 0;
    this._url = null;
    this._surfer = null;
    this._frame = 0;
    this._abort = new AbortController();
    for (const event of ["play", "pause", "seeked", "ended"]) this.audio.addEventListener(event, () => this._changed());
    this._scheme = window.matchMedia("(prefers-color-scheme: dark)");
    this._recolour = () => this._surfer?.setOptions(colours());
    this._scheme.addEventListener("change", this._recolour);
  }

  /** Draw the outline into `container`. No sound is fetched: who hears it is entered in the ledger.
   * @throws {Problem|Away|DOMException} it can't be had. */
  async draw(container) {
    const path = `/v1/recordings/${segment(this.recording.id)}/peaks`;
    const peaks = await getJson(path, { points: 2000 }, this._abort.signal);
    const loudness = peaks.points.map(([low, high]) => Math.max(-low, high));
    this._surfer = WaveSurfer.create({
      container, height: HEIGHT_PX, peaks: [loudness], duration: this.seconds || 0.001, interact: false,
      cursorWidth: 0, barWidth: 2, barGap: 1, barRadius: 2, barMinHeight: 1, normalize: true, hideScrollbar: true,
      ...colours(),
    });
    this.ready = true;
    this._changed();
  }

  get playing() {
    return this._hasSound && !this.audio.paused && !this.audio.ended;
  }

  /** Seconds from the file's beginning. */
  get at() {
    return this._hasSound ? this.audio.currentTime : this._at;
  }

  /** Play or pause; the first time the sound is fetched. */
  toggle() {
    if (!this.ready) return;
    if (this.isFetching) this._wantsPlay = !this._wantsPlay;
    else if (!this._hasSound) this._begin();
    else if (this.playing) this.audio.pause();
    else this.audio.play().catch(() => {});
  }

  seek(second) {
    const held = Math.max(0, Math.min(this.seconds, second));
    if (this._hasSound) this.audio.currentTime = held;
    else this._at = held;
    this._changed();
  }

  setRate(rate) {
    this.audio.defaultPlaybackRate = this.audio.playbackRate = rate;
  }

  setVolume(volume) {
    this.audio.volume = volume;
  }

  async _begin() {
    this._wantsPlay = this.isFetching = true;
    this._changed();
    try {
      await this._fetch();
      this.audio.currentTime = this._at;
      this._hasSound = true;
      if (this._wantsPlay) await this.audio.play().catch(() => {});
    } catch (error) {
      if (error.name !== "AbortError") this._told.onProblem(error);
    } finally {
      this.isFetching = false;
      this._changed();
    }
  }

  async _fetch() {
    const format = this.seconds > LONG_S ? "flac" : "wav";
    const path = `/v1/recordings/${segment(this.recording.id)}/audio`;
    const response = await ask(path, { query: { format }, signal: this._abort.signal });
    this.total = Number(response.headers.get("Content-Length")) || null;
    this.fetched = 0;
    const reader = response.body.getReader();
    const pieces = [];
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      pieces.push(value);
      this.fetched += value.length;
      this._changed();
    }
    const isPlayable = new Promise((resolve, reject) => {
      this.audio.addEventListener("loadeddata", resolve, { once: true });
      this.audio.addEventListener("error", () => reject(new Error("this browser can’t play the file")), { once: true });
    });
    this._url = URL.createObjectURL(new Blob(pieces, { type: `audio/${format}` }));
    this.audio.src = this._url;
    await isPlayable;
  }

  _changed() {
    cancelAnimationFrame(this._frame);
    this._surfer?.setTime(this.at);
    this._told.onChange();
    if (this.playing) this._frame = requestAnimationFrame(() => this._tick());
  }

  _tick() {
    this._surfer?.setTime(this.at);
    this._told.onTick();
    if (this.playing) this._frame = requestAnimationFrame(() => this._tick());
  }

  destroy() {
    this._told = { onChange() {}, onTick() {}, onProblem() {} };
    this._abort.abort();
    cancelAnimationFrame(this._frame);
    this._scheme.removeEventListener("change", this._recolour);
    this.audio.pause();
    this.audio.removeAttribute("src");
    if (this._url) URL.revokeObjectURL(this._url);
    this._surfer?.destroy();
  }
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  return { waveColor: style.getPropertyValue("--wave").trim(), progressColor: style.getPropertyValue("--wave-played").trim() };
}
