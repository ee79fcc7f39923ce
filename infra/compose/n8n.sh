#!/bin/sh
# Becomes n8n, after giving it the mesh's key and the workflows that are new or changed. What the owner changed in n8n
# stays until its file changes. /given holds what setup handed out.
set -eu

given=/given
taken=$HOME/.n8n/taken
export N8N_ENCRYPTION_KEY_FILE=$given/n8n-encryption.key

for file in "$N8N_ENCRYPTION_KEY_FILE" "$given/credential.json"; do
    if [ ! -r "$file" ]; then
        echo "n8n: uid $(id -u) with groups $(id -G) may not read $file: $(ls -ln "$file" 2>&1)" >&2
        echo "n8n: docker compose run --rm setup hands it out again" >&2
        exit 1
    fi
    case $(ls -ln "$file") in
        ???????---*) ;;
        *) echo "n8n: everybody may read $file; docker compose run --rm setup mends it" >&2; exit 1 ;;
    esac
done

changed() { ! sha256sum <"$1" | cmp -s - "$taken/$(basename "$1")"; }
take() { sha256sum <"$1" >"$taken/$(basename "$1")"; }

mkdir -p "$taken"
if changed "$given/credential.json"; then
    n8n import:credentials --input="$given/credential.json"
    take "$given/credential.json"
fi
new=$(mktemp -d)
for file in "$given"/workflows/*.json; do
    if changed "$file"; then cp "$file" "$new/"; fi
done
if [ -n "$(ls "$new")" ]; then
    n8n import:workflow --separate --input="$new"
    for file in "$new"/*.json; do
        n8n publish:workflow --id="$(node -p 'require(process.argv[1]).id' "$file")"
        take "$file"
    done
fi
rm -r "$new"
exec n8n start
