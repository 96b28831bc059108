"""Commands that run another command, and options that do: `sudo`, `timeout 5`, `rsync -e`."""

from dataclasses import dataclass

from sloth_ci.template.parts import words_of


@dataclass(frozen=True, slots=True)
class Prefix:
    """A command whose operands are a command to run."""

    #: Letters of its options that take an argument.
    arguments: str = ""
    #: Operands before the command.
    operands: int = 0
    #: Long options whose argument is the next word.
    long: frozenset[str] = frozenset()
    #: Options whose argument is shell text.
    code: frozenset[str] = frozenset()
    #: Takes `NAME=value` words before the command.
    assigns: bool = False


_SUDO = Prefix(
    arguments="CDghpRrtTuU",
    long=frozenset({"--user", "--group", "--host", "--prompt", "--chdir", "--chroot", "--role"}),
    assigns=True,
)
_USER_SHELL = Prefix(
    arguments="cgGsuwT",
    operands=1,
    long=frozenset({"--user", "--group", "--shell"}),
    code=frozenset({"c", "--command", "--session-command"}),
)
_ONE_OPERAND = Prefix(operands=1)
_PLAIN = Prefix()

PREFIXES = {
    **dict.fromkeys(
        words_of(
            "nohup setsid builtin busybox toybox fakeroot chronic unbuffer dumb-init caffeinate "
            "proxychains proxychains4 torsocks dbus-run-session catchsegv arch"
        ),
        _PLAIN,
    ),
    **dict.fromkeys(("setuidgid", "gosu", "su-exec"), _ONE_OPERAND),
    "exec": Prefix(arguments="a"),
    "command": _PLAIN,
    "time": Prefix(arguments="fo", long=frozenset({"--format", "--output"})),
    "env": Prefix(
        arguments="uCS",
        long=frozenset({"--unset", "--chdir", "--split-string"}),
        code=frozenset({"S", "--split-string"}),
        assigns=True,
    ),
    "sudo": _SUDO,
    "doas": Prefix(arguments="Cu", assigns=True),
    "pkexec": Prefix(long=frozenset({"--user"})),
    "nice": Prefix(arguments="n", long=frozenset({"--adjustment"})),
    "ionice": Prefix(arguments="cnpPu", long=frozenset({"--class", "--classdata"})),
    "timeout": Prefix(arguments="ks", operands=1, long=frozenset({"--kill-after", "--signal"})),
    "stdbuf": Prefix(arguments="ioe", long=frozenset({"--input", "--output", "--error"})),
    "chrt": Prefix(arguments="TPD", operands=1),
    "taskset": _ONE_OPERAND,
    "numactl": Prefix(arguments="mNCpi"),
    "chroot": _ONE_OPERAND,
    "unshare": Prefix(arguments="SGRw"),
    "nsenter": Prefix(arguments="tSGW", long=frozenset({"--target"})),
    "setpriv": _PLAIN,
    "prlimit": _PLAIN,
    "flock": Prefix(arguments="wEc", operands=1, code=frozenset({"c", "--command"})),
    "script": Prefix(arguments="cEIOBTmoa", code=frozenset({"c", "--command"}), operands=1),
    "su": _USER_SHELL,
    "runuser": _USER_SHELL,
    "strace": Prefix(arguments="abeEIoOpPsSuUX"),
    "ltrace": Prefix(arguments="aAeFlnopsuwxX"),
    "valgrind": _PLAIN,
    "gdbserver": _ONE_OPERAND,
    "perf": _ONE_OPERAND,
    "systemd-run": Prefix(
        arguments="pEMuH", long=frozenset({"--unit", "--property", "--setenv", "--uid", "--gid"})
    ),
    "systemd-inhibit": _PLAIN,
    "cgexec": Prefix(arguments="g"),
    "start-stop-daemon": Prefix(
        arguments="acdgknpPrsux", code=frozenset({"a", "x", "--startas", "--exec"})
    ),
    "xvfb-run": Prefix(arguments="efnpsw"),
    "xargs": Prefix(
        arguments="adEIiLlnPs",
        long=frozenset({"--arg-file", "--delimiter", "--max-args", "--max-procs", "--max-lines"}),
    ),
    "npx": Prefix(arguments="pc", code=frozenset({"c", "p", "--call", "--package"})),
    "bunx": _PLAIN,
    "uvx": Prefix(code=frozenset({"--from", "--with"})),
    "pipx": Prefix(operands=1, code=frozenset({"--spec"})),
}
#: Subcommands that run what follows, and the operands before that.
RUNNING_SUBCOMMANDS = {
    **{
        (name, "exec"): Prefix(
            arguments="euwnclp",
            operands=1,
            long=frozenset({"--env", "--user", "--workdir", "--env-file", "--namespace"}),
        )
        for name in ("docker", "podman", "nerdctl", "kubectl", "oc", "docker-compose", "compose")
    },
    **{(name, "run"): _PLAIN for name in ("poetry", "pipenv", "uv", "hatch", "pdm", "rye")},
    ("conda", "run"): Prefix(arguments="np"),
    ("mamba", "run"): Prefix(arguments="np"),
    ("bundle", "exec"): _PLAIN,
    ("direnv", "exec"): _ONE_OPERAND,
    ("submodule", "foreach"): _PLAIN,
    ("bisect", "run"): _PLAIN,
}
#: Commands with subcommands, where a value must not be the subcommand.
WITH_SUBCOMMANDS = words_of(
    "git docker podman nerdctl docker-compose kubectl oc npm pnpm yarn bundle poetry pipenv "
    "uv cargo go hg svn"
)
#: Their run-like subcommands hand arguments to a shell, in some releases without quoting them.
SCRIPT_RUNNERS = {
    name: frozenset({"run", "run-script", "test", "t", "start", "stop", "restart", "exec", "x"})
    for name in ("npm", "pnpm")
}
#: Options whose argument is a command.
RUNNING_OPTIONS = {
    "git": frozenset(
        {
            "--upload-pack", "--receive-pack", "--exec", "--exec-path", "--extcmd", "--config",
            "--config-env", "-c", "-x", "-u", "--tree-filter", "--index-filter", "--msg-filter",
            "--env-filter", "--parent-filter", "--commit-filter", "--tag-name-filter",
            "--open-files-in-pager", "-O",
        }
    ),
    "rsync": frozenset({"-e", "--rsh", "--rsync-path"}),
    "tar": frozenset(
        {
            "-I", "-F", "--use-compress-program", "--to-command", "--checkpoint-action",
            "--info-script", "--new-volume-script", "--rsh-command", "--rmt-command",
        }
    ),
    "scp": frozenset({"-S", "-o", "-F", "-J", "-D"}),
    "sftp": frozenset({"-S", "-o", "-F", "-J", "-D", "-b"}),
    "wget": frozenset({"--use-askpass", "-e", "--execute", "--config"}),
    "curl": frozenset({"-K", "--config"}),
    "sort": frozenset({"--compress-program"}),
    "split": frozenset({"--filter"}),
    "zip": frozenset({"-TT", "--unzip-command"}),
    "man": frozenset({"-P", "--pager", "-H", "--html"}),
    "go": frozenset({"-toolexec", "-exec", "-vettool"}),
    "nc": frozenset({"-e", "-c", "--exec", "--sh-exec"}),
    "ncat": frozenset({"-e", "-c", "--exec", "--sh-exec", "--lua-exec"}),
    "tcpdump": frozenset({"-z"}),
    "gcc": frozenset({"-wrapper", "-fplugin"}),
    "svn": frozenset({"--config-option", "--diff-cmd", "--diff3-cmd", "--editor-cmd"}),
    "hg": frozenset({"--config", "--ssh", "--remotecmd"}),
    "cargo": frozenset({"--config"}),
    "xterm": frozenset({"-e"}),
    "openssl": frozenset({"-engine", "-provider"}),
    "mysqldump": frozenset({"--plugin-dir"}),
}  # fmt: skip
#: Variables that decide what runs, or that a program runs.
RUNNING_VARIABLES = words_of(
    "PATH IFS ENV BASH_ENV PS0 PS1 PS2 PS4 PROMPT_COMMAND SHELLOPTS BASHOPTS SHELL "
    "BASH_LOADABLES_PATH EDITOR VISUAL PAGER MANPAGER LESSOPEN LESSCLOSE BROWSER "
    "SYSTEMD_EDITOR SYSTEMD_PAGER MAKEFLAGS MFLAGS GNUMAKEFLAGS MAKEFILES CLASSPATH "
    "JAVA_TOOL_OPTIONS _JAVA_OPTIONS JDK_JAVA_OPTIONS MAVEN_OPTS GRADLE_OPTS NODE_OPTIONS "
    "NODE_PATH PERL5OPT PERL5LIB PERLLIB PERL5DB RUBYOPT RUBYLIB GEM_PATH GEM_HOME LUA_INIT "
    "LUA_PATH LUA_CPATH PHPRC PHP_INI_SCAN_DIR RSYNC_RSH RSYNC_CONNECT_PROG CVS_RSH SVN_SSH "
    "TAR_OPTIONS SSH_ASKPASS SUDO_ASKPASS TCLLIBPATH AWKPATH R_PROFILE JULIA_LOAD_PATH "
    "ERL_FLAGS GOFLAGS CARGO_BUILD_RUSTC RUSTC_WRAPPER RUSTC CC CXX LD AR PGOPTIONS PSQLRC "
    "PSQL_EDITOR PSQL_PAGER MYSQL_PS1 WGETRC CURL_HOME HGRCPATH ANSIBLE_CONFIG FPATH "
    "MODULE_PATH ZDOTDIR TMUX KRB5_CONFIG OPENSSL_CONF TERMINFO INPUTRC HOME"
)
RUNNING_VARIABLE_STARTS = (
    "LD_", "DYLD_", "PYTHON", "BASH_FUNC_", "GIT_SSH", "GIT_EDITOR", "GIT_SEQUENCE_EDITOR",
    "GIT_PAGER", "GIT_EXTERNAL_DIFF", "GIT_ASKPASS", "GIT_PROXY_COMMAND", "GIT_CONFIG",
    "GIT_EXEC_PATH", "GIT_TEMPLATE_DIR", "npm_config_",
)  # fmt: skip
#: Commands whose words never run, though they may look like it (`git add sh`).
ORDINARY = words_of(
    "echo cd pwd cp mv rm mkdir rmdir ls ln cat tee touch chmod chown grep egrep fgrep rg "
    "head tail uniq wc cut tr diff cmp comm paste join stat file basename dirname readlink "
    "realpath du df sleep date kill pkill pgrep killall systemctl service journalctl logger "
    "mail mutt sendmail true false exit return shift which type whereis apt apt-get aptitude "
    "yum dnf apk brew pip pipx pacman zypper unzip gzip gunzip bzip2 xz zstd test [ : printf "
    "read set seq expr base64 md5sum sha256sum install hash jq yq curl wget rsync scp tar zip "
    "git"
)
