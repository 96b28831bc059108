"""What compile_template refuses, and that it names the placeholder."""

import pytest

from sloth_ci.template import TemplateRefused, compile_template

COMMAND_NAMES = r"""
{x}
{x} -v
./{x}.sh
/srv/{x}/run
"{x}"
'{x}'
run-{x}
A=1 {x}
> log {x}
2>/dev/null {x}
! {x}
time {x}
time -p {x}
true && {x}
true || {x}
true; {x}
true & {x}
true | {x}
( {x} )
{ {x}; }
if {x}; then true; fi
if true; then {x}; fi
if true; then :; else {x}; fi
if true; then :; elif {x}; then :; fi
while {x}; do :; done
until {x}; do :; done
for f in a; do {x}; done
case a in a) {x};; esac
f() { {x}; }; f
f() {x}
function f { {x}; }
echo $({x})
echo "$({x})"
echo `{x}`
echo "${A:-$({x})}"
cat <<EOF\n$({x})\nEOF
diff <({x}) b
exec {x}
exec -a n {x}
command {x}
builtin {x}
nohup {x}
nohup -- {x}
env {x}
env A=b {x}
env -i A=b {x}
env -u A {x}
time {x}
sudo {x}
sudo -u deploy {x}
sudo -n -u deploy -- {x}
sudo -nu deploy A=b {x}
sudo --user deploy {x}
doas -u me {x}
nice {x}
nice -n 5 {x}
ionice -c 3 {x}
timeout 5 {x}
timeout -s KILL 5 {x}
timeout -k 1 5 {x}
setsid {x}
setsid -w {x}
stdbuf -oL {x}
chroot /srv {x}
taskset 1 {x}
strace -f -o out {x}
busybox {x}
xargs {x}
ls | xargs -n 1 {x}
ls | xargs -I % {x} %
find . -exec {x} \;
find . -name a -execdir {x} {} +
sudo nice -n 5 env A=b timeout 5 {x}
npx {x}
uvx {x}
docker exec web {x}
docker exec -u root web {x}
kubectl exec web -- {x}
poetry run {x}
uv run {x}
bundle exec {x}
git {x}
docker {x}
$(echo {x}) a
B={x}; $B
B={x}; "$B/run"
for B in a {x}; do $B; done
echo {x} | while read B; do $B; done
read B <<< {x}; $B
f() { "$@"; }; f {x}
f() { $1; }; f {x}
set -- {x}; "$1"
echo {x} | xargs sudo
$SUDO {x}
$A $B {x}
sudo $OPTIONS {x}
docker exec $OPTIONS web {x}
a[0]=1 {x}
echo {x} | { B=$(cat); $B; }
"""

PROGRAMS = r"""
eval {x}
eval "echo {x}"
eval echo '{x}'
eval "$(echo {x})"
trap {x} EXIT
trap 'echo {x}' EXIT
. {x}
. ./{x}.sh
source {x}
sh {x}
sh ./{x}.sh
sh -x {x}
sh -c {x}
sh -c - {x}
sh -c $A {x}
sh $A {x}
sh "$@" {x}
sh -c 'echo {x}'
sh -c "echo {x}"
sh -ec "echo {x}"
sh -c -e "echo {x}"
sh -e -c "echo {x}" a
sh -o errexit -c "echo {x}"
bash -lc "echo {x}"
bash --norc -c "echo {x}"
bash --rcfile {x} -i
bash -{x}
/bin/sh -c "echo {x}"
/usr/bin/env bash -c "echo {x}"
dash -c "echo {x}"
zsh -c "echo {x}"
ksh -c "echo {x}"
busybox sh -c "echo {x}"
"sh" -c {x}
's'h -c {x}
s\h -c {x}
sh <(echo {x})
. <(echo {x})
$SHELL -c {x}
"$DIR/sh" -c {x}
{sh,-c} {x}
{sh,-c,{x}}
echo {a,{x}}
su -c "echo {x}"
su deploy -c "echo {x}"
su - deploy -c {x}
runuser -u deploy -- sh -c "echo {x}"
sudo sh -c "echo {x}"
sudo -u deploy sh -c "echo {x}"
sudo -u deploy bash -lc "echo {x}"
flock f -c "echo {x}"
script -c "echo {x}" out
xargs sh -c "echo {x}"
ls | xargs -I % sh -c "echo % {x}"
find . -exec sh -c "echo {x}" \;
docker exec web sh -c "echo {x}"
docker run --rm app sh -c "echo {x}"
docker compose exec web sh -c "echo {x}"
kubectl exec web -- sh -c "echo {x}"
some-runner --now bash -c "echo {x}"
env -S "echo {x}"
env --split-string="echo {x}"
watch echo {x}
parallel echo {x} ::: a
ssh host echo {x}
ssh {x}
ssh host "cd /srv && git checkout {x}"
ssh -o ProxyCommand={x} host
gcloud compute ssh host --command {x}
python -c "print('{x}')"
python3 -c {x}
python3.12 -c {x}
python {x}
python -m {x}
python -W ignore -c {x}
/opt/venv/bin/python -c {x}
perl -e {x}
perl -ne {x} f
perl -pi -e 's/a/{x}/' f
perl -e 1 -e {x}
perl -M{x} -e 1
perl -ne print {x}
perl -pe 1 {x}
ruby -e {x}
ruby -r{x} a.rb
node -e {x}
node --eval {x}
node --eval={x}
node -p {x}
node --require {x} a.js
node {x}
php -r {x}
lua -e {x}
awk {x}
awk '{print "{x}"}'
awk -F : {x} f
awk -v a=b {x} f
awk -f {x} f
gawk -e {x}
sed {x} f
sed "s/a/{x}/" f
sed -i "s/a/{x}/" f
sed -n -e "s/a/{x}/p" f
sed -ne "s/a/{x}/p" f
sed --expression="s/a/{x}/" f
sed -f {x} f
sed p f -e "s/a/{x}/"
sed -i s/a/b/ {x}
psql -c "select '{x}'"
psql db -c "select '{x}'"
psql --command="select '{x}'" db
psql -f {x}
mysql -e "select '{x}'"
mysql db -e "select '{x}'"
sqlite3 db "select '{x}'"
osascript -e {x}
julia -e {x}
Rscript -e {x}
emacs --eval {x}
gdb -ex {x}
vim -c {x}
expect -c {x}
tmux send-keys {x}
socat - EXEC:{x}
ansible all -a {x}
ansible-playbook -e "version={x}" play.yml
pwsh -Command {x}
git -c core.sshCommand={x} fetch
git -c alias.z="!{x}" z
git config core.hooksPath {x}
git config --global alias.z {x}
git clone --upload-pack={x} url
git clone -u {x} url
git rebase --exec {x}
git rebase -x {x}
git submodule foreach {x}
git submodule foreach sh -c "echo {x}"
git bisect run {x}
rsync -e {x} a host:b
rsync -ae {x} a host:b
rsync --rsh={x} a host:b
tar -I {x} -xf a
tar --to-command={x} -xf a
tar --checkpoint-action=exec={x} -cf a b
scp -S {x} a host:b
scp a host:/srv/{x}
npm run deploy -- --branch={x}
make {x}
make B={x}
make -C {x}
gmake "B={x}"
B={x} make
env B={x} make
sudo make B={x}
B={x}; eval "$B"
export B={x}; eval "$B"
export B={x}; sh -c 'eval "$B"'
B={x}; C="a $B"; D=$C; eval "$D"
eval "$D"; D=$C; C=$B; B={x}
B={x}; sh -c "echo $B"
f() { eval "$1"; }; f {x}
f() { sh -c "echo $*"; }; f a {x}
"""

STANDARD_INPUTS = r"""
echo {x} | sh
echo {x} | sh -
echo {x} | sh -s
echo {x} | bash -s arg
echo {x} | sh -x
echo {x} | sh $OPTIONS
echo {x} | sh -c $CODE sh
echo {x} | sh /dev/stdin
echo {x} | . /dev/stdin
echo {x} | cat | sh
echo {x} | tee f | sudo sh
echo {x} | sudo -u deploy bash
echo {x} | su deploy
echo {x} | env A=b sh
echo {x} | ( sh )
echo {x} | { cat; sh; }
echo {x} | if true; then sh; fi
echo {x} | while true; do sh; done
{ echo {x}; } | sh
( echo {x} ) | sh
for b in {x}; do echo "$b"; done | sh
if true; then echo {x}; fi | sh
cat <<EOF | sh\n{x}\nEOF
sh <<EOF\necho {x}\nEOF
sh <<-EOF\n\techo {x}\n\tEOF
sh -s arg <<EOF\necho {x}\nEOF
{ sh; } <<EOF\necho {x}\nEOF
while true; do sh; done <<EOF\n{x}\nEOF
sh <<< {x}
bash <<< "echo {x}"
sh < {x}
sh < ./{x}.sh
sh 0< {x}
bash 3<<EOF /dev/fd/3\n{x}\nEOF
curl {x} | sh
git log {x} | sh
printf {x} | bash -s
echo {x} | sh -c 'cat | sh'
echo {x} | sh -c sh
echo {x} | eval "$(cat)"
echo {x} | xargs sh
echo {x} | xargs sh -c
echo {x} | xargs -I% sh -c 'echo %'
echo {x} | xargs -i sh -c 'echo {}'
echo {x} | xargs -I % ssh host %
echo {x} | tee >(sh)
echo {x} > >(sh)
echo {x} | echo $(sh)
echo {x} | echo `sh`
echo {x} | ssh host
echo {x} | ssh -p 22 host
echo {x} | ssh host sh
echo {x} | ssh host 'cd /srv && sh -s'
ssh host <<EOF\ncd {x}\nEOF
echo {x} | docker exec -i web sh
echo {x} | kubectl exec -i web -- bash
echo {x} | python
echo {x} | python -
echo {x} | python3
python <<EOF\nprint('{x}')\nEOF
echo {x} | perl
echo {x} | node
echo {x} | php
echo {x} | psql db
psql <<EOF\nselect '{x}'\nEOF
mysql db <<EOF\nselect '{x}'\nEOF
sqlite3 db <<EOF\nselect '{x}';\nEOF
echo {x} | at now
echo {x} | batch
echo {x} | crontab -
echo {x} | ed f
echo {x} | dc
echo {x} | m4
echo {x} | parallel
echo {x} | make -f -
echo {x} | $SHELL
f() { sh; }; echo {x} | f
echo {x} | while read -r l; do eval "$l"; done
echo {x} | while read -r l; do sh -c "$l"; done
"""

EVALUATIONS = r"""
echo $(({x}))
echo $(( {x} + 1 ))
echo "$(({x}))"
echo $((1 + $(echo {x})))
echo $((1 + "{x}"))
(( {x} > 1 ))
((x = {x}))
for ((i=0; i<{x}; i++)); do :; done
echo $[{x}]
echo ${A:{x}}
echo ${A:-{x}}
echo "${A:-{x}}"
echo ${A[{x}]}
a[{x}]=1
a=([{x}]=1)
let {x}
let "a={x}"
[[ {x} -eq 1 ]]
[[ 1 -lt {x} ]]
[[ -v {x} ]]
[ -v {x} ]
test -v {x}
[ {x} {y} ]
declare {x}
declare {x}=1
declare -i n={x}
declare -n n={x}
declare -a n={x}
declare -i n; n={x}
typeset {x}
local {x}
export {x}
export {x}=1
readonly {x}
unset {x}
read {x}
getopts ab {x}
mapfile {x}
mapfile -C {x} -t a
printf -v {x} a
printf -v{x} a
printf {x} a {y}
alias {x}
alias a={x}
hash -p {x} ls
enable -f {x} a
complete -C {x} a
compgen -W {x}
echo $'{x}'
echo `echo {x}`
echo "`echo {x}`"
PATH={x} ls
PATH={x}:$PATH
export PATH={x}:$PATH
env PATH={x} ls
LD_PRELOAD={x} ls
IFS={x}
BASH_ENV={x} bash a.sh
PS4={x}
GIT_SSH_COMMAND={x} git fetch
PYTHONPATH={x} python a.py
sudo LD_PRELOAD={x} ls
for {x} in a; do :; done
{x}() { :; }
function {x} { :; }
cat <<'EOF'\n{x}\nEOF
cat <<"EOF"\n{x}\nEOF
cat <<\EOF\n{x}\nEOF
cat <<{x}\na\n{x}
B={x}; echo $((B + 1))
B={x}; echo $(($B + 1))
B={x}; echo "${!B}"
B={x}; echo "${B@P}"
B={x}; echo "${A[B]}"
B={x}; [[ $B -eq 1 ]]
B={x}; a[B]=1
B={x}; a=([B]=1)
declare -i n; read n <<< {x}
f() { echo $(($1)); }; f {x}
"""

UNREADABLE = r"""
echo '{x}
echo "{x}
echo {x} '
echo {x} "
echo {x} `date
echo {x} $(date
echo {x} ${A
cat <<EOF\n{x}
echo {x} )
if [ {x} = y ]; then a
for f in {x}; do a
case {x} in a) b
{ echo {x}
( echo {x}
echo {x}; fi
echo "${A:-it's}" {x}
echo $'it\'s' {x}
echo {x} &> log && ls &> log {x}
"""


def lines(table: str) -> list[str]:
    """The texts of a table; `\\n` stands for a line end."""
    return [line.replace("\\n", "\n") for line in table.strip().splitlines()]


def refused(text: str) -> str:
    with pytest.raises(TemplateRefused) as caught:
        compile_template(text)
    return str(caught.value)


@pytest.mark.parametrize("text", lines(COMMAND_NAMES))
def test_a_value_is_no_command_name(text):
    assert "{x}" in refused(text)


@pytest.mark.parametrize("text", lines(PROGRAMS))
def test_a_value_is_no_part_of_a_program(text):
    message = refused(text)
    assert "{x}" in message
    assert '"$SLOTH_PARAM_x"' in message


@pytest.mark.parametrize("text", lines(STANDARD_INPUTS))
def test_a_value_is_not_fed_to_an_interpreter(text):
    assert "{x}" in refused(text)


@pytest.mark.parametrize("text", lines(EVALUATIONS))
def test_a_value_is_not_evaluated_by_the_shell(text):
    message = refused(text)
    assert "{x}" in message or "{y}" in message


@pytest.mark.parametrize("text", lines(UNREADABLE))
def test_a_text_that_cannot_be_read_is_refused(text):
    message = refused(text)
    assert "{x}" in message
    assert "can't be read" in message


@pytest.mark.parametrize(
    ("text", "quote"), [("echo '{x}", "single quote"), ('echo "{x}', "double quote")]
)
def test_an_open_quote_is_named(text, quote):
    assert f"a {quote} stays open" in refused(text)


def test_a_quoted_delimiter_is_answered_with_the_unquoted_one():
    assert "write <<EOF" in refused("cat <<'EOF'\n{x}\nEOF\n")


def test_nesting_without_end_is_refused_without_a_crash():
    for opener in ("$(", "((", "${A:-", "{ ", "! ", "a() ", "if ", '"$(', "<("):
        assert "{x}" in refused(opener * 5000 + "{x}")


def test_a_nul_character_is_refused():
    assert "NUL" in refused("echo \0")
