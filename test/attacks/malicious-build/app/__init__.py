"""A program that does nothing wrong once it is built."""


def main():
    print("hello")
