"""``python -m scapnet``, which `accelerate launch -m` and `torchrun -m` start too."""

from scapnet.cli import main

if __name__ == "__main__":
    main()
