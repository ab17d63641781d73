"""What every room uses: plain values and paths in, plain values out; nothing here imports the other rooms."""
