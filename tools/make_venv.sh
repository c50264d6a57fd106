#!/bin/sh
# Makes a virtual environment where Debian's or Ubuntu's python3 came without python3-venv.
set -eu
python=$1
venv=$2

rm -rf "$venv"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "python3-venv is missing: installing it" >&2
  { apt-get install -y -qq python3-venv || { apt-get update -qq && apt-get install -y -qq python3-venv; }; } >&2
  exec "$python" -m venv "$venv"
fi
echo "Python's venv module can't make an environment here. On Debian or Ubuntu:" >&2
echo "    sudo apt-get install python3-venv" >&2
exit 1
