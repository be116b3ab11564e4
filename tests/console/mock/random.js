// Numbers that look random and are the same each time (mulberry32).
export class Random {
  constructor(seed) {
    this.state = seed >>> 0;
  }

  /** 0 (included) to 1 (not included). */
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** A whole number, both ends included. */
  whole(from, to) {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  of(list) {
    return list[Math.floor(this.next() * list.length)];
  }

  hex(digits) {
    return Array.from({ length: digits }, () => this.whole(0, 15).toString(16)).join('');
  }
}
