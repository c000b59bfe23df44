/** A person at a terminal, in Python, which has pseudo-terminals. */

/** Starts a program in a pseudo-terminal of a size. */
const inTerminal = (words: string, rows: number, columns: number): string => `
import fcntl, json, os, pty, select, struct, sys, termios, time
words = ${words}
pid, terminal = pty.fork()
if pid == 0:
    time.sleep(0.2)
    os.execvp(words[0], words)
size = lambda rows, columns: fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
size(${rows}, ${columns})
before = termios.tcgetattr(terminal)
seen = b''
`;

/**
 * Runs a program in a pseudo-terminal of 91x31: types each text when the one before it was answered, resizes to 77x22 in between,
 * and prints what came, the exit status, and whether the terminal was left as it was.
 */
export const terminalScript = `
${inTerminal('sys.argv[2:]', 31, 91)}
def expect(text):
    global seen
    end = time.time() + 30
    while text not in seen:
        if time.time() > end: sys.exit('not seen: %r in %r' % (text, seen))
        if select.select([terminal], [], [], 0.1)[0]:
            try: seen += os.read(terminal, 4096)
            except OSError: break
expect(b'91x31')
os.write(terminal, b'a')
expect(b'key 61')
os.write(terminal, b'\\x03')
expect(b'key 03')
size(22, 77)
expect(b'now 77x22')
raw = termios.tcgetattr(terminal)
os.write(terminal, b'q')
_, status = os.waitpid(pid, 0)
after = termios.tcgetattr(terminal)
print('exit', os.waitstatus_to_exitcode(status), 'raw', not raw[3] & termios.ECHO, 'restored', before[3] == after[3] and before[0] == after[0])
`;

/**
 * Runs a screen that goes on in a pseudo-terminal of 160x70, lets it draw twice, makes the terminal 70x16, lets it draw three times more, and types q.
 * Prints JSON: the exit code, whether the terminal was left as it was, and all that was drawn.
 */
export const watchScript = `
${inTerminal('sys.argv[1:]', 70, 160)}
def frames(count):
    global seen
    end = time.time() + 30
    while seen.count(b'\\x1b[J') < count:
        if time.time() > end: sys.exit('only seen: %r' % seen)
        if select.select([terminal], [], [], 0.1)[0]:
            try: seen += os.read(terminal, 65536)
            except OSError: sys.exit('it ended: %r' % seen)
frames(2)
size(16, 70)
frames(seen.count(b'\\x1b[J') + 3)
os.write(terminal, b'q')
while True:
    try: more = os.read(terminal, 65536)
    except OSError: break
    if not more: break
    seen += more
_, status = os.waitpid(pid, 0)
after = termios.tcgetattr(terminal)
print(json.dumps({'code': os.waitstatus_to_exitcode(status), 'restored': before[3] == after[3] and before[0] == after[0], 'drawn': seen.decode()}))
`;
