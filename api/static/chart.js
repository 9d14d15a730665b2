// A small candle chart on a canvas: prices on the right, minutes below, volume at the foot.

import { decimals, show } from "/static/format.js";

const LONGEST = 120;
const RIGHT = 74;
const BELOW = 22;
const VOLUME_SHARE = 0.16;

export class Chart {
  constructor(canvas) {
    this.canvas = canvas;
    this.candles = new Map();
    new ResizeObserver(() => this.market && this.draw(this.market)).observe(canvas);
  }

  reset(candles) {
    this.candles = new Map(candles.map((candle) => [candle.time_us, candle]));
  }

  update(candle) {
    this.candles.set(candle.time_us, candle);
    if (this.candles.size > LONGEST) {
      this.candles.delete(Math.min(...this.candles.keys()));
    }
  }

  list() {
    return [...this.candles.values()].sort((a, b) => a.time_us - b.time_us);
  }

  draw(market) {
    this.market = market;
    const candles = this.list();
    show("chart-empty", !candles.length);
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    if (!candles.length || width < 120) return;
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    const frame = new Frame(candles, width - RIGHT, height - BELOW);
    drawScale(context, frame, market, width, color);
    for (const [index, candle] of candles.entries()) {
      const rising = Number(candle.close) >= Number(candle.open);
      context.fillStyle = color(rising ? "--up" : "--down");
      frame.drawCandle(context, index, candle);
    }
    drawLast(context, frame, candles.at(-1), market, width, color);
  }
}

class Frame {
  constructor(candles, width, height) {
    this.candles = candles;
    this.width = width;
    this.height = height;
    const high = Math.max(...candles.map((candle) => Number(candle.high)));
    const low = Math.min(...candles.map((candle) => Number(candle.low)));
    const margin = (high - low || high * 0.001 || 1) * 0.08;
    this.high = high + margin;
    this.low = low - margin;
    this.volume = Math.max(...candles.map((candle) => Number(candle.volume)), 1e-18);
    this.step = width / Math.max(candles.length, 40);
    this.plot = height * (1 - VOLUME_SHARE);
  }

  y(price) {
    return ((this.high - price) / (this.high - this.low)) * this.plot;
  }

  x(index) {
    return this.width - (this.candles.length - index - 0.5) * this.step;
  }

  drawCandle(context, index, candle) {
    const x = this.x(index);
    const body = Math.max(1, Math.floor(this.step * 0.64));
    const top = this.y(Math.max(candle.open, candle.close));
    const bottom = this.y(Math.min(candle.open, candle.close));
    const highest = this.y(Number(candle.high));
    context.fillRect(Math.round(x) - 0.5, highest, 1, this.y(Number(candle.low)) - highest);
    context.fillRect(x - body / 2, top, body, Math.max(1, bottom - top));
    const bar = (Number(candle.volume) / this.volume) * (this.height - this.plot - 6);
    context.globalAlpha = 0.3;
    context.fillRect(x - body / 2, this.height - bar, body, bar);
    context.globalAlpha = 1;
  }
}

function niceStep(span, count) {
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
}

function drawScale(context, frame, market, width, color) {
  const places = decimals(market.tick_size);
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  const step = niceStep(frame.high - frame.low, 6);
  for (let price = Math.ceil(frame.low / step) * step; price < frame.high; price += step) {
    context.fillStyle = color("--line");
    context.fillRect(0, Math.round(frame.y(price)), frame.width, 1);
    context.fillStyle = color("--quiet");
    context.fillText(price.toFixed(places), frame.width + 8, frame.y(price));
  }
  context.textAlign = "center";
  const every = Math.max(1, Math.ceil(70 / frame.step));
  for (let index = frame.candles.length - 1; index >= 0; index -= every) {
    const time = new Date(frame.candles[index].time_us / 1000);
    const text = time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
    if (frame.x(index) > 24) context.fillText(text, frame.x(index), frame.height + 14);
  }
  context.textAlign = "left";
}

function drawLast(context, frame, candle, market, width, color) {
  const y = frame.y(Number(candle.close));
  context.fillStyle = color(Number(candle.close) >= Number(candle.open) ? "--up" : "--down");
  context.setLineDash([2, 3]);
  context.strokeStyle = context.fillStyle;
  context.beginPath();
  context.moveTo(0, Math.round(y) + 0.5);
  context.lineTo(frame.width, Math.round(y) + 0.5);
  context.stroke();
  context.setLineDash([]);
  context.beginPath();
  context.roundRect(frame.width + 2, y - 9, RIGHT - 4, 18, 4);
  context.fill();
  context.fillStyle = color("--surface");
  const text = Number(candle.close).toFixed(decimals(market.tick_size));
  context.fillText(text, frame.width + 8, y + 0.5);
}
