#!/bin/sh
# Ends what a test run started, once the run is gone. Reads lines from the run; when the other end closes - the run ended, was
# interrupted, panicked or was killed - everything that is still held is killed, and what is to be swept is removed.
#   hold PID    kill this process at the end
#   free PID    it is gone already
#   sweep DIR   remove this folder at the end
held=
swept=
nl='
'
while read -r what value; do
    case $what in
    hold) held="$held $value" ;;
    free)
        kept=
        for pid in $held; do
            [ "$pid" = "$value" ] || kept="$kept $pid"
        done
        held=$kept
        ;;
    sweep) swept="$swept$value$nl" ;;
    esac
done
for pid in $held; do
    kill -KILL "$pid" 2>/dev/null
done
# Until they are gone, but no longer than ten seconds: where nobody reaps orphans, a process that was killed stays in the table for ever.
looks=0
for pid in $held; do
    while kill -0 "$pid" 2>/dev/null && [ "$looks" -lt 100 ]; do
        looks=$((looks + 1))
        sleep 0.1
    done
done
printf '%s' "$swept" | while read -r folder; do
    rm -rf "$folder"
done
