"""Cells that must show the same in a spawned and in a forked kernel; read by test_forked.py as text."""

# %% imports
import asyncio, ctypes, gc, os, re, signal, sys, threading, time, __main__
def kinds(of="self"):
    found = []
    for fd in os.listdir(f"/proc/{of}/fd"):
        try:
            found.append(re.sub(r"[\d]+", "", os.readlink(f"/proc/{of}/fd/{fd}")))
        except OSError:
            pass
    return sorted(found)

# %% argv
sys.argv; sys.orig_argv

# %% command line
open('/proc/self/cmdline').read(); open('/proc/self/comm').read(); os.readlink('/proc/self/exe')

# %% main
{name: repr(value)[:80] for name, value in vars(__main__).items() if not name[1:2].isdigit()}

# %% main's identity
__main__ is sys.modules['__main__']; vars(__main__) is globals(); __name__; __spec__

# %% pickling
import pickle
def f(): return 7
pickle.dumps(f); pickle.loads(pickle.dumps(f))()

# %% working directory
os.getcwd(); %pwd

# %% search path
sys.path; sys.path_hooks; [getattr(one, '__name__', type(one)) for one in sys.meta_path]

# %% import from beside
import beside; beside.__file__; beside.double(4)

# %% environment
dict(os.environ)

# %% environment in C
libc = ctypes.CDLL(None); libc.getenv.restype = ctypes.c_char_p
[libc.getenv(name) for name in (b'PATH', b'MINE', b'TZ', b'GONE')]

# %% environment for others
open('/proc/self/environ').read()

# %% environment of children
!env | sort

# %% time zone
time.tzname; time.timezone; time.strftime('%H %Z', time.localtime(0))

# %% temporary files
import tempfile; tempfile.gettempdir()

# %% threads
threading.active_count(); len(os.listdir('/proc/self/task')); sorted(t.daemon for t in threading.enumerate())

# %% main thread
threading.main_thread().native_id == threading.get_native_id() == os.getpid(); threading.main_thread().ident == threading.get_ident(); threading.current_thread().name

# %% a new thread
made = []
t = threading.Thread(target=lambda: made.append(threading.current_thread().name))
t.start(); t.join(); made

# %% signals
{one.name: re.sub(' at 0x.*', '', repr(signal.getsignal(one))) for one in signal.Signals}

# %% signal mask
signal.pthread_sigmask(signal.SIG_BLOCK, []); [line for line in open('/proc/self/status').read().splitlines() if line.startswith('Sig')]

# %% credentials
[line for line in open('/proc/self/status') if re.match('Umask|NoNew|Seccomp|Cap|Groups|[UG]id|Cpus', line)]

# %% warnings
import warnings; warnings.filters; warnings.defaultaction

# %% a warning
warnings.warn('mine')

# %% logging
import logging; logging.root.level; sorted((name, getattr(one, 'level', 0), getattr(one, 'propagate', 0), len(getattr(one, 'handlers', ()))) for name, one in logging.root.manager.loggerDict.items())

# %% logging's clock
0 < logging.makeLogRecord({}).relativeCreated < 600_000

# %% builtins
import builtins; sorted(vars(builtins))

# %% hooks
sys.displayhook; sys.excepthook; sys.unraisablehook; threading.excepthook; sys.breakpointhook; sys.gettrace()

# %% flags
sys.flags; sys._xoptions; sys.warnoptions; sys.dont_write_bytecode; sys.getrecursionlimit()

# %% interpreter
sys.executable; sys.prefix; sys.base_prefix; sys.exec_prefix; sys.version; sys._base_executable

# %% locale
import locale; locale.setlocale(locale.LC_ALL); locale.getpreferredencoding(); sys.getfilesystemencoding()

# %% standard streams
[(s.encoding, s.errors, s.line_buffering) for s in (sys.__stdin__, sys.__stdout__, sys.__stderr__)]

# %% descriptors
time.sleep(0.3); [one for one in kinds() if not any(word in one for word in ('sqlite', 'socket', 'eventfd'))]

# %% inherited descriptors
import fcntl; [(os.get_inheritable(fd), fcntl.fcntl(fd, fcntl.F_GETFL)) for fd in (0, 1, 2)]

# %% descriptors of children
!ls /proc/self/fd

# %% limits
import resource; [resource.getrlimit(n) for n in range(16)]; os.umask(os.umask(0)); os.nice(0)

# %% scheduling
os.sched_getscheduler(0); os.sched_getaffinity(0); open('/proc/self/oom_score_adj').read()

# %% process group
os.getpgrp() == os.getsid(0) == os.getpid(); os.getppid() == int(os.environ['JPY_PARENT_PID'])

# %% death of the parent
number = ctypes.c_int(); libc.prctl(2, ctypes.byref(number)); number.value

# %% garbage
gc.isenabled(); gc.get_threshold(); gc.callbacks; gc.garbage

# %% stdin
os.read(0, 9); os.readlink('/proc/self/fd/0')

# %% input
input('who?')

# %% subprocess
import subprocess; subprocess.run(['cat'], capture_output=True)
subprocess.run('echo $PWD; tty; ulimit -a; umask', shell=True, capture_output=True)

# %% fork
import multiprocessing as mp
with mp.get_context('fork').Pool(2) as pool: print(pool.map(beside.double, range(5)))

# %% spawn
with mp.get_context('spawn').Pool(2) as pool: print(pool.map(beside.double, range(5)))

# %% forkserver
with mp.get_context('forkserver').Pool(2) as pool: print(pool.map(beside.double, range(5)))

# %% processes by name
mp.current_process(); mp.current_process().pid == os.getpid(); mp.parent_process(); mp.get_start_method()

# %% executor
from concurrent.futures import ProcessPoolExecutor as P
with P(2) as pool: print(list(pool.map(beside.double, range(5))))

# %% exit functions
import atexit; atexit._ncallbacks()

# %% top-level await
await asyncio.sleep(0, 5)

# %% loop
asyncio.get_running_loop(); asyncio.get_running_loop().get_debug(); type(asyncio.get_event_loop_policy())

# %% context
import contextvars; sorted(one.name for one in contextvars.copy_context())

# %% zmq
import zmq; zmq.Context.instance().closed; zmq.Context._instance_pid == os.getpid()

# %% configuration
ip = get_ipython(); ip.config; ip.profile; ip.ipython_dir; ip.colors; ip.autoawait; from_config

# %% startup files
from_startup

# %% history
ip.history_manager.hist_file; ip.history_manager.enabled; ip.execution_count; len(In); In[2]

# %% history magic
%history -n 1-3

# %% output history
_; len(Out) > 10

# %% magics
{kind: sorted(them) for kind, them in ip.magics_manager.magics.items()}; sorted(ip.extension_manager.loaded)

# %% traits
{name: re.sub('0x[0-9a-f]+|datetime.datetime.*?[)]|[<]Exec.*', '', repr(getattr(ip, name)))[:80] for name in sorted(ip.trait_names())}

# %% application
app = ip.kernel.parent; app.parent_handle == os.getppid(); app.argv; app.connection_file; app.session.username

# %% events
{name: len(them) for name, them in ip.events.callbacks.items()}

# %% completion
[one.__name__ for one in ip.Completer.matchers]; ip.complete('os.getc')

# %% an error
def g(): return 1 / 0
g()

# %% a syntax error
1 +

# %% an error in __del__
class D:
    def __del__(self): 1 / 0
d = D(); del d

# %% stderr
print('x', file=sys.stderr); sys.stdout.fileno.__name__

# %% output of C
_ = os.write(1, b'raw\n'); _ = os.system('echo from a child')

# %% %run
%run script.py a b
from_script

# %% !echo
!echo one two

# %% %%bash
%%bash
echo $0 $((1 + 1))

# %% %timeit
r = %timeit -n1 -r1 -q -o pass
type(r)

# %% %who
%who_ls

# %% help
beside.double?

# %% matplotlib
import matplotlib, matplotlib.pyplot as plt; plt.get_backend(); matplotlib.get_configdir()

# %% a figure
_ = plt.plot([1, 2]); plt.show()

# %% an inline figure
%matplotlib inline
_ = plt.plot([2, 1])

# %% sys.exit
sys.exit(3)

# %% faulthandler
import faulthandler; faulthandler.is_enabled()

# %% site
import site; site.ENABLE_USER_SITE; site.USER_SITE; site.getsitepackages(); 'sitecustomize' in sys.modules

# %% random by seed
import random, numpy; random.Random(5).random(); numpy.random.default_rng(5).random()

# %% decimal
import decimal; decimal.getcontext()

# %% constants
sys.getdlopenflags(); sys.hash_info; sys.thread_info; sys.getswitchinterval(); threading.stack_size()

# %% streams
sys.stdout.isatty(); sys.stdout.encoding; sys.stdout.errors; sys.stdout.closed; sys.stdout.name; sys.stdout.fileno() > 2
sys.stdout.readable(); sys.stdout.writable(); sys.stdout.seekable(); sys.stdout.write('abc'); sys.stdout.flush()

# %% streams cannot seek
sys.stdout.seek(0)

# %% streams cannot be read
sys.stdout.read()

# %% streams take text alone
sys.stdout.write(b'x')

# %% lines to a stream
sys.stdout.writelines(['a\n', 'b\n']); sys.stdout.writelines([1])

# %% flush has no arguments
sys.stdout.flush(1)

# %% streams are not pickled
import pickle; pickle.dumps(sys.stdout)

# %% functions of streams
import inspect; stream = type(sys.stdout)
for one in (stream.flush, stream._flush, stream._watch_pipe_fd, stream.register_hook):
    inspect.signature(one); one.__qualname__; one.__module__; one.__doc__; inspect.getsource(one); pickle.dumps(one)

# %% streams' threads
sys.stdout.watch_fd_thread.is_alive(); sys.stdout.watch_fd_thread.daemon; sys.stdout.pub_thread.thread.name

# %% hooks of this thread
def redact(message):
    message['content']['text'] = message['content']['text'].replace('secret', '***'); return message
sys.stdout.register_hook(redact); print('a secret'); display(1); sys.stdout.unregister_hook(redact)

# %% hooks of the printing thread
sys.stdout.pub_thread.schedule(lambda: sys.stdout.register_hook(redact)); print('a secret'); display(1); print('secret')

# %% hooks have been called
seen = []
def keep(message): seen.append(message['content']['text'])
sys.stderr.pub_thread.schedule(lambda: sys.stderr.register_hook(keep))
print('kept', file=sys.stderr); display(1); seen

# %% hooks are unregistered
from threading import Event; gone = Event()
sys.stdout.pub_thread.schedule(lambda: (sys.stdout.unregister_hook(redact), sys.stderr.unregister_hook(keep), gone.set()))
gone.wait(20); print('secret'); print('said', file=sys.stderr); sys.stderr.flush(); display(1)

# %% an echo
import io; echo = sys.stdout.echo = io.StringIO(); print('echoed'); display(1); sys.stdout.echo = None; echo.getvalue()

# %% a display that cannot be encoded
display({'text/plain': '\ud800'}, raw=True)

# %% a result that cannot be encoded
class Odd:
    def __repr__(self): return '\udc80'
Odd()

# %% a hook of displays
def shout(message): message['content']['data']['text/plain'] = 'LOUD'; return message
get_ipython().display_pub.register_hook(shout); print('before'); display(1); get_ipython().display_pub.unregister_hook(shout)

# %% a wrapped stream
class Wrapped:
    def __init__(self, inner): self.inner, self.kept = inner, ''
    def write(self, text): self.kept += text
    def flush(self): self.inner.write(self.kept); self.kept = ''; self.inner.flush()
    def __getattr__(self, name): return getattr(self.inner, name)
inner = sys.stdout; sys.stdout = Wrapped(inner); print('wrapped'); display(1); sys.stdout = inner

# %% display without a stream
inner = sys.stdout; sys.stdout = None
try: display(1)
except AttributeError as error: told = repr(error)
finally: sys.stdout = inner
told

# %% a stream that waits no longer
sys.stdout.flush_timeout = 0; print('x'); display(1); sys.stdout.flush_timeout = 10

# %% printed by a thread
def printing(): print('t1'); display('t2'); print('t3')
thread = threading.Thread(target=printing); thread.start(); thread.join()

# %% printed by tasks
import asyncio
async def printing(number): print(number); display(number); await asyncio.sleep(0); print(-number)
_ = await asyncio.gather(printing(1), printing(2))

# %% printed by a fork
import warnings; warnings.simplefilter('ignore', DeprecationWarning)  # of forks beside threads, Python 3.12
if not (pid := os.fork()):
    print('from a fork'); sys.stdout.flush(); os._exit(0)
_ = os.waitpid(pid, 0)

# %% printed by a process
import multiprocessing
def printing(): print('from a process', flush=True)
process = multiprocessing.get_context('fork').Process(target=printing); process.start(); process.join(); process.exitcode

# %% errors of subprocesses
import subprocess; subprocess.run('echo oops >&2', shell=True).returncode

# %% modules of the kernel
kernel = get_ipython().kernel; type(kernel._kernel_modules); kernel._kernel_modules is kernel.debugger.kernel_modules
sorted(set(kernel._kernel_modules) & {runpy.__file__, json.__file__}) if (runpy := __import__('runpy')) and (json := __import__('json')) else 0

# %% modules of ipykernel
import ipykernel.kernelbase, ipykernel.displayhook, ipykernel.ipkernel
ipykernel.kernelbase.sys is ipykernel.displayhook.sys is ipykernel.ipkernel.sys is sys; kernel._execute_sleep

# %% a closed stream
import ipykernel.iostream as iostream
own = iostream.OutStream(kernel.session, sys.stdout.pub_thread, 'stdout', watchfd=False); own.write('a'); own.flush(); own.close(); own.closed
own.write('b')

# %% redirected stdout
import contextlib, io
with contextlib.redirect_stdout(io.StringIO()) as said:
    print('x'); display(1)
said.getvalue()

# %% capture
%%capture got
print('x'); display(2)

# %% what was captured
got.stdout; got.outputs

# %% update of a display
h = display('old', display_id='mine'); h.update('new')

# %% clear_output
from IPython.display import clear_output; print('gone'); clear_output(); print('stays')

# %% widgets
import ipywidgets; ipywidgets.IntSlider().value
