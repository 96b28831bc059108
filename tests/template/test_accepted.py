"""What compile_template renders, what it passes on untouched, and the rest of the face."""

# ruff: noqa: E501 (tables of texts)

import pickle
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sloth_ci.template import (
    PREFIX,
    Template,
    TemplateRefused,
    check_value,
    compile_template,
    param_environment,
)

X = "${SLOTH_PARAM_x}"

RENDERED = [
    ("bare", "echo {x}", f'echo "{X}"'),
    ("within a word", "echo a{x}b", f'echo a"{X}"b'),
    ("twice", "echo {x}{x}", f'echo "{X}""{X}"'),
    ("double quotes", 'echo "on {x}!"', f'echo "on {X}!"'),
    ("single quotes", "echo 'on {x}!'", f"echo 'on '\"{X}\"'!'"),
    ("a substitution", "echo $(cat {x})", f'echo $(cat "{X}")'),
    ("a substitution in quotes", 'echo "$(cat {x})"', f'echo "$(cat "{X}")"'),
    ("a here-document", 'cat <<E\n{x} "{x}"\nE\n', f'cat <<E\n{X} "{X}"\nE\n'),
    ("a here-document with tabs", "cat <<-E\n\t{x}\n\tE\n", f"cat <<-E\n\t{X}\n\tE\n"),
    ("two here-documents", "cat <<A <<B\n{x}\nA\n{x}\nB\n", f"cat <<A <<B\n{X}\nA\n{X}\nB\n"),
    ("after a backslash in quotes", r'echo "\{x}"', rf'echo "\\{X}"'),
    ("after an escaped backslash", r'echo "\\{x}"', rf'echo "\\{X}"'),
    ("after an escaped dollar", r"echo \${x}", rf'echo \$"{X}"'),
    ("after the shell's number", "echo $${x}", f'echo $$"{X}"'),
    ("after a brace", "echo {{x}", f'echo {{"{X}"'),
    ("a comment is left alone", "echo {x} # it's {y}", f'echo "{X}" # it\'s {{y}}'),
    ("a doubled brace", "echo {{x}} {x}", f'echo {{x}} "{X}"'),
    ("a doubled brace in quotes", "echo '{{y}}' \"{{y}}\" {x}", f'echo \'{{y}}\' "{{y}}" "{X}"'),
    ("a doubled expansion", "echo ${{HOME}} {x}", f'echo ${{HOME}} "{X}"'),
    ("an escaped brace", r"echo \{y} {x}", rf'echo \{{y}} "{X}"'),
    ("an expansion in single quotes", "echo '${y}' {x}", f"echo '${{y}}' \"{X}\""),
]

ACCEPTED = r"""
git checkout {x}
git checkout -q -- {x}
git fetch origin {x}
git merge --ff-only "origin/{x}"
git -C {x} pull
git config user.name {x}
git -c user.name={x} commit -m {x}
git tag v{x} && git push origin v{x}
rsync -a ./ host:/srv/{x}/
rsync -a --delete -e 'ssh -p 22' ./ host:/srv/{x}/
echo "built {x}" >> log/{x}.txt
docker build -t app:{x} .
docker build --build-arg REF={x} -t app .
docker run --rm -e B={x} app:{x} ./start
docker exec web ./deploy {x}
docker tag php app:{x}
docker run python:3.11 python app.py {x}
kubectl set image deployment/node app=app:{x}
kubectl exec web -- ./deploy {x}
curl -d "branch={x}" http://localhost/
curl -fsS http://localhost/{x} -o out
[ "{x}" = main ] && ./deploy
[ {x} = main ] || exit 0
[ -n {x} ]
[ {x} -gt 3 ]
[[ {x} == main ]] && ./deploy
[[ {x} =~ ^(a|b)$ ]] && ./deploy
case {x} in main) ./a;; esac
case {x} in (a|b) ./a;; *) ./b {x};; esac
case a in {x}) ./a;; esac
for f in *; do cp "$f" {x}; done
for f in {x}; do cp "$f" b; done
cd {x} && make
if [ {x} = y ]; then ./a; elif [ {x} = z ]; then ./b; else ./c; fi
while [ {x} = y ]; do ./a; done
FOO={x} ./run.sh
FOO={x} BAR=1 ./run.sh {x}
f() { echo {x}; }; f
f() { echo "$1"; }; f {x}
export BRANCH={x}
export BRANCH={x}; make
local a={x}
readonly a={x}
a={x}; echo "$a"
a={x}; git checkout "$a"
a=(1 {x})
bash deploy.sh {x}
sh ./deploy.sh -b {x}
python manage.py deploy {x}
python -m pytest -k {x}
python3.11 -u -W ignore manage.py {x}
python -c 'import sys; print(sys.argv)' {x}
sh -c 'echo "$1"' -- {x}
sh -c 'echo "$SLOTH_PARAM_x"'; echo {x}
sh -ec 'echo "$1"' sh {x}
perl script.pl {x}
perl -e 'print @ARGV' {x}
node app.js {x}
awk '{print $1}' {x}
awk -v b={x} '{print b}' f
awk -F: '{print $1}' < {x}
sed -e s/a/b/ ./{x}
sed -i s/a/b/ -- {x}
sed s/a/b/ < {x}
psql -d {x} -c 'select 1'
echo {x} | cat
echo {x} | cat > f
echo {x} | tee -a f
echo {x} | grep -q main
echo {x} | awk '{print $1}'
echo {x} | sed s/a/b/
echo {x} | bash script.sh
echo {x} | sh -c 'cat > f'
echo {x} | python app.py
echo {x} | python -c 'import sys; sys.stdin.read()'
echo {x} | ssh host 'cat > f'
echo {x} | ssh -i key host cat
echo {x} | xargs git checkout
echo {x} | xargs -n1 -- rm -f
echo {x} | while read -r l; do git checkout "$l"; done
echo {x} | sudo tee /etc/version
echo {x} | sh < script
echo {x} | mail -s "built {x}" me@example.org
curl -fsS http://localhost/install | bash -s -- {x}
cat < {x}
cat <<< {x}
grep {x} <<< abc
sh <<'EOF' ; echo {x}\necho "$SLOTH_PARAM_x"\nEOF
cat <<A | sort\n{x}\nA
git archive {x} | tar -x -C out
git archive {x} | ssh host 'tar -x -C /srv'
printf '%s\n' {x}
printf {x}
printf -v a '%s' {x}
sudo -u deploy git checkout {x}
sudo -u deploy sh deploy.sh {x}
sudo -u {x} ls
$SUDO git checkout {x}
"$DEPLOY" {x}
sh "$SCRIPT" {x}
a[0]=1; echo {x}
timeout 5 git fetch origin {x}
timeout {x} ls
nice -n 5 ./run {x}
env A={x} ./run
command -v {x}
nohup ./run {x} &
./run {x} & wait
time ./run {x}
! ./run {x}
find {x} -name '*.pyc' -delete
find . -name {x} -exec rm {} \;
find . -exec grep {x} {} +
tar -czf {x}.tgz dist
tar -C {x} -xf a.tar
scp file-{x} host:/srv/
pip install app=={x}
apt-get install -y bash={x}
cp sh {x}
git add sh {x}
npm version {x}
mkdir -p a/{x} && cd a/{x}
echo {a,b} {x}
echo ${HOME} $(date) `date` $((1 + 2)) {x}
echo "${A:-b}" ${A%%/*} ${#A} {x}
cp file.{txt,bak} {x}
exec ./run {x}
exec > {x}
set -e; echo {x}
set -- {x}; echo "$1"
diff <(echo {x}) f
# {y}\necho {x}
echo it\'s {x}
echo {x} \\n  && echo b
if true\nthen\n  echo {x}\nfi
echo {x};
(cd a && echo {x}) > f 2>&1
{ echo {x}; } 2>/dev/null
echo {x} 2>&1 | cat
ls |& cat; echo {x}
exec {{fd}}> log; echo {x}
docker ps --format '{{.Names}}' | grep {x}
find . -type f -exec sed -i s/a/b/ {} \; ; echo {x}
test {x} = main && echo y
true || echo {x}
"""

UNTOUCHED = r"""
echo ${HOME}
awk '{print $1}' f
echo {a,b} {1..3}
find . -exec rm {} \;
docker ps --format '{{.Names}}'
{ echo a; }
echo \{x}
echo '${x}' "${x}" ${x}
echo 'unbalanced
echo ${x} "unbalanced
f() { x; }
{x.__class__} {x[0]} {0} {x!r} {x:>9} { x } {x-y} {é}
eval "$X" | sh -c '{'
if fi done )) ]] ((
# {x} it's
<<EOF
"""


def lines(table: str) -> list[str]:
    """The texts of a table; `\\n` stands for a line end."""
    return [line.replace("\\n", "\n") for line in table.strip().splitlines()]


@pytest.mark.parametrize(
    ("text", "shell"), [case[1:] for case in RENDERED], ids=[case[0] for case in RENDERED]
)
def test_a_placeholder_fits_the_quotes_around_it(text, shell):
    template = compile_template(text)
    assert template.shell == shell
    assert template.names == ("x",)


@pytest.mark.parametrize("text", lines(ACCEPTED))
def test_an_ordinary_command_is_taken(text):
    assert compile_template(text).names == ("x",)


@pytest.mark.parametrize("text", lines(UNTOUCHED))
def test_a_text_without_placeholders_passes_untouched(text):
    template = compile_template(text)
    assert template == Template(text=text, shell=text, names=())


@pytest.mark.parametrize("text", ["{{x}}", "echo '{{x}}'", 'a "{{x}} ${{x}}', "eval {{x}}"])
def test_a_doubled_brace_is_a_single_one(text):
    template = compile_template(text)
    assert template.shell == text.replace("{{", "{").replace("}}", "}")
    assert template.names == ()


@given(st.text(st.characters(exclude_characters="{\0")))
def test_any_text_without_braces_passes_untouched(text):
    assert compile_template(text) == Template(text=text, shell=text, names=())


@given(st.text("ax{}$\\'\"`()<>|;& \n#=-", max_size=60))
def test_any_text_is_compiled_or_refused(text):
    try:
        template = compile_template(text)
    except TemplateRefused:
        return
    assert set(template.names) <= {name for name in ("a", "x", *_words(text)) if name in text}
    if not template.names:
        assert PREFIX not in template.shell


def _words(text: str) -> list[str]:
    return ["".join(part) for part in text.replace("{", " ").replace("}", " ").split()]


def test_names_come_once_in_order_of_appearance():
    assert compile_template("a {z} {x} '{z}' \"$(b {y})\" {x}").names == ("z", "x", "y")


def test_the_first_missing_param_is_named():
    template = compile_template("echo {x} {y} # {z}")
    assert template.missing({"y": ""}) == "x"
    assert template.missing({"x": ""}) == "y"
    assert template.missing({"x": "", "y": ""}) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("echo {x} '{x}'", "echo main 'main'"),
        ("echo {x} {y}", "echo main {y}"),
        ("echo {{x}} {x} ${x}", "echo {x} main ${x}"),
        ("echo ${{x}} {x}", "echo ${x} main"),
        ("echo {{x}}", "echo {x}"),
    ],
)
def test_a_reader_sees_the_values(text, shown):
    assert compile_template(text).fill({"x": "main", "other": "no"}) == shown


def test_a_value_shown_to_a_reader_is_not_read_again():
    assert compile_template("echo {x} {y}").fill({"x": "{y}{{y}}\\1", "y": "b"}) == (
        "echo {y}{{y}}\\1 b"
    )


def test_params_travel_under_the_prefix():
    assert param_environment({"branch": "main", "x": ""}) == {
        "SLOTH_PARAM_branch": "main",
        "SLOTH_PARAM_x": "",
    }


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "a=b", "é", "a\n", "\0"])
def test_a_name_that_is_no_identifier_is_refused(name):
    with pytest.raises(TemplateRefused, match="name"):
        check_value(name, "")


@pytest.mark.parametrize(
    ("value", "reason"),
    [("a\0b", "NUL"), ("\ud800", "surrogate"), ("é" * 70_000, "too long")],
)
def test_a_value_that_cannot_travel_is_refused(value, reason):
    with pytest.raises(TemplateRefused, match=reason):
        check_value("x", value)


def test_the_longest_value_travels_and_one_byte_more_does_not():
    longest = "a" * (128 * 1024 - len("SLOTH_PARAM_x=") - 1)
    check_value("x", longest)
    shell = compile_template("printf %s {x}").shell
    environment = param_environment({"x": longest})
    done = subprocess.run(["/bin/sh", "-c", shell], env=environment, capture_output=True)
    assert done.stdout == longest.encode()
    with pytest.raises(TemplateRefused):
        check_value("x", longest + "a")


def test_a_template_travels_to_other_processes():
    template = compile_template("echo {x}")
    assert pickle.loads(pickle.dumps(template)) == template
    assert not hasattr(template, "__dict__")


def test_the_room_needs_the_standard_library_only():
    code = (
        "import sys; before = set(sys.modules); import sloth_ci.template;"
        "print({name.partition('.')[0] for name in set(sys.modules) - before}"
        " - sys.stdlib_module_names)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "{'sloth_ci'}\n"


@pytest.mark.parametrize(
    "unit",
    ["{x} ", "'{x}'", '"{x}', "\\{", "$(a {x}) ", "<<E\n", "a=(", "${a:-", "`", "{{x}} ", "|a {x}",
     "a={x};", "{a,", "$a$b", "\\\n", "f() { a; };", "case {x} in {x}) b;; esac;", "cat <<E\n{x}\nE\n",
     "# {x}\n", "sed -e {x} ", "-e {x} ", "sudo ",
     "$a ", "env A=b ", "find . -exec ", "xargs ", "sh -c ", "a[0]=", "]=", "{a,b}", "\\"],
)  # fmt: skip
def test_a_long_text_is_read_in_a_moment(unit):
    text = "echo {x} " + unit * (64_000 // len(unit))
    try:
        compile_template(text)
    except TemplateRefused as error:
        message = str(error)
    else:
        return
    assert "{x}" in message
