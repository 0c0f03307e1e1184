/** A progress line on a terminal; nothing where standard error is piped. */

export interface Progress {
  show(text: string): void;
  clear(): void;
}

const LONGEST = 100;

export function progressLine(stream: NodeJS.WriteStream = process.stderr): Progress {
  if (!stream.isTTY) return { show: () => {}, clear: () => {} };
  const write = (text: string): void => {
    stream.write(`\r\u001b[K${text}`);
  };
  return {
    show: (text) => write(text.slice(0, Math.min(LONGEST, (stream.columns ?? LONGEST) - 1))),
    clear: () => write(""),
  };
}
