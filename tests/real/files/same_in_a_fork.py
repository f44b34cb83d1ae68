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
time.sleep(0.3); [one for one in kinds() if 'sqlite' not in one and 'socket' not in one]

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
