#!/bin/sh
# Makes the secrets that docker-compose.yml reads, each once; what is there stays as it is.
# The folder is closed to other users of this machine. The files in it are readable, since the containers' users are others.
set -eu
folder="$(dirname "$0")/secrets"
mkdir -p "$folder"
chmod 0700 "$folder"
for name in console_token grafana_password postgres_password; do
    file="$folder/$name"
    if [ ! -s "$file" ]; then
        od -An -N24 -tx1 /dev/urandom | tr -d ' \n' > "$file"
        echo "made $file"
    fi
    chmod 0444 "$file"
done
